"""Compose files that are elsewhere: in a git repository, or an OCI artifact of a registry.

They are fetched into ``$XDG_CACHE_HOME/docker-compose`` (``~/.cache/docker-compose``), a directory for each commit and
each manifest, as Docker Compose does: the two share what they have fetched and print the same paths.
"""

from __future__ import annotations

import os
import re

from solva.compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

GIT_SWITCH = "COMPOSE_EXPERIMENTAL_GIT_REMOTE"
OCI_SWITCH = "COMPOSE_EXPERIMENTAL_OCI_REMOTE"
OCI = "oci://"
_SCP = re.compile(r"[a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:")
_SCHEME = re.compile(r"(https?|git|ssh)://", re.IGNORECASE)
_OF_ANOTHER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")     # as in a hook of git's
_COMMIT = re.compile(r"[a-f0-9]{40}\Z")


class Remote:
    """A remote file brought here. ``file``: its absolute path; ``root``: of the checkout or artifact it is in."""

    __slots__ = ("file", "root")

    def __init__(self, file: str, root: str) -> None:
        self.file = file
        self.root = root


class GitReference:
    """``URL#REF:PATH``: ``remote`` as git takes it, ``ref`` ("" is the default branch), ``path`` in the repository."""

    __slots__ = ("path", "ref", "remote")

    def __init__(self, remote: str, ref: str, path: str) -> None:
        self.remote = remote
        self.ref = ref
        self.path = path


def git_reference(text: str) -> GitReference | None:
    """``text`` as a git reference; None when it is something else. http(s) URLs must end in ``.git``."""
    where, _, fragment = text.partition("#")
    ref, _, path = fragment.partition(":")
    if where.startswith("github.com/"):
        return GitReference(f"https://{where}", ref, path)
    scheme = _SCHEME.match(where)
    if scheme is None and not _SCP.match(where):
        return None
    if scheme is not None and scheme[1].lower() in ("http", "https") and not where.partition("?")[0].endswith(".git"):
        return None
    return GitReference(where, ref, path)


def is_remote(text: str) -> bool:
    """Whether ``text`` names a compose file that is elsewhere."""
    return text.startswith(OCI) or git_reference(text) is not None


_known: dict[tuple[str, str], Remote] = {}


def fetch(text: str) -> Remote:
    """The file that ``text`` names, fetched unless it is here. ComposeError says what could not be had."""
    cache = cache_directory()
    if (cache, text) not in _known:
        if text.startswith(OCI):
            _check_switch(OCI_SWITCH, "OCI")
            from solva.compose.load.remote_oci import fetch_artifact

            _known[cache, text] = fetch_artifact(text[len(OCI):], cache)
        else:
            _check_switch(GIT_SWITCH, "git")
            reference = git_reference(text)
            assert reference is not None
            _known[cache, text] = _fetch_git(text, reference, cache)
    return _known[cache, text]


def cache_directory() -> str:
    """Where remote files are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "docker-compose")


def _check_switch(name: str, kind: str) -> None:
    text = os.environ.get(name, "")
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        raise ComposeError(f'{kind} remote resource is disabled by "{name}"')
    if text not in ("", "1", "t", "T", "true", "TRUE", "True"):
        raise ComposeError(f'{name} environment variable expects boolean value: strconv.ParseBool: parsing "{text}": '
                           "invalid syntax")


def into_place(cache: str, name: str, fill: Callable[[str], None]) -> str:
    """The directory ``name`` of ``cache``; when it is not there ``fill`` makes it, whole or not at all."""
    import shutil
    import tempfile

    target = os.path.join(cache, name)
    if os.path.isdir(target):
        return target
    os.makedirs(cache, mode=0o700, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix=f".{name[:12]}-", dir=cache)
    try:
        fill(scratch)
        try:
            os.rename(scratch, target)
        except OSError:
            if not os.path.isdir(target):       # another one was quicker
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _fetch_git(text: str, reference: GitReference, cache: str) -> Remote:
    inside = os.path.normpath(reference.path) if reference.path else ""
    if os.path.isabs(inside):
        raise ComposeError(f"git subdirectory must be relative, got: {reference.path}")
    if inside == ".." or inside.startswith("../"):
        raise ComposeError(f"git subdirectory path traversal detected: {reference.path}")
    name = reference.ref or "HEAD"
    commit = name if _COMMIT.match(name) else _resolve(text, reference.remote, name)
    root = into_place(cache, commit, lambda folder: _check_out(folder, text, reference.remote, name, commit))
    return Remote(_compose_file(os.path.join(root, inside) if inside else root, root, text), root)


def _compose_file(path: str, root: str, text: str) -> str:
    """``path`` itself, or the compose file in that directory; nothing outside ``root``."""
    from solva.compose.load.lookup import NAMES

    if not os.path.lexists(path):
        raise ComposeError(f"{text}: stat {path}: no such file or directory")
    if os.path.isdir(path):
        found = next((item for item in (os.path.join(path, name) for name in NAMES) if os.path.isfile(item)), "")
        if not found:
            raise ComposeError(f"{text}: not found: there is no {', '.join(NAMES[:-1])} or {NAMES[-1]} in it")
        path = found
    if not os.path.realpath(path).startswith(os.path.realpath(root) + os.sep):
        raise ComposeError(f"{text}: {os.path.relpath(path, root)} points out of the repository")
    return path


def _resolve(text: str, remote: str, name: str) -> str:
    """The commit that ``name`` is at ``remote`` now."""
    status, out, error = _git("ls-remote", "--exit-code", "--", remote, name)
    if status == 2:
        raise ComposeError(f"repository does not contain ref {text}: {remote} has no branch or tag {name}")
    if status:
        raise ComposeError(f"failed to access repository at {remote}:\n {error.strip()}")
    rows = [row.split("\t", 1) for row in out.splitlines() if "\t" in row]
    commits = {label: commit for commit, label in rows}
    # `ls-remote main` lists refs/heads/feature/main as well: git's own order of looking a name up decides.
    for label in (name, f"refs/{name}", f"refs/tags/{name}", f"refs/heads/{name}"):
        if label in commits:
            commit = commits[label]
            if not _COMMIT.match(commit):
                raise ComposeError(f'invalid commit sha "{commit}"')
            return commit
    raise ComposeError(f"repository does not contain ref {text}: {remote} has no branch or tag {name}")


def _check_out(folder: str, text: str, remote: str, name: str, commit: str) -> None:
    _step(folder, text, "init", "--quiet")
    _step(folder, text, "remote", "add", "--", "origin", remote)
    status, _, error = _git("fetch", "--quiet", "--depth=1", "origin", commit, cwd=folder)
    if status and name != commit:       # a server that gives out no commits, only what has a name
        status, _, error = _git("fetch", "--quiet", "--depth=1", "origin", name, cwd=folder)
    if status:
        raise ComposeError(f"failed to fetch {text}:\n {error.strip()}")
    _step(folder, text, "checkout", "--quiet", commit)


def _step(folder: str, text: str, *words: str) -> None:
    status, _, error = _git(*words, cwd=folder)
    if status:
        raise ComposeError(f"failed to check out {text}: git {words[0]}: {error.strip()}")


def _git(*words: str, cwd: str | None = None) -> tuple[int, str, str]:
    """(status, standard output, standard error) of git, which asks nobody for a password unless it is told to."""
    import subprocess

    environment = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER}
    environment.setdefault("GIT_TERMINAL_PROMPT", "0")
    if not environment.get("GIT_SSH") and not environment.get("GIT_SSH_COMMAND"):
        environment["GIT_SSH_COMMAND"] = "ssh -o ControlMaster=no -o BatchMode=yes"
    try:
        done = subprocess.run(["git", "-c", "advice.detachedHead=false", *words], cwd=cwd, env=environment, text=True,
                              capture_output=True, check=False, errors="replace", stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise ComposeError("git: executable file not found in $PATH; it is what fetches compose files from git "
                           "repositories") from None
    return done.returncode, done.stdout, done.stderr
