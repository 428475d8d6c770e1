"""Git repositories as sources: ADD's, and build contexts. Fetched by the git program, at the depth of one commit."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from solva.build import rootpath
from solva.errors import InvalidParameter, SystemFailure, Unavailable
from solva.kernel import files
from solva.kernel.process import Completed, Spawner

_GIT = re.compile(r"(git://|git@[^:/]+:|ssh://)|https?://[^#?]*\.git(#|\?|\Z)")
_SHA = re.compile(r"[0-9a-f]{40}\Z")
_REF = re.compile(r"[A-Za-z0-9_./+@-]+\Z")
_QUERY = ("ref", "branch", "tag", "commit", "checksum", "subdir", "keep-git-dir", "submodules")


def is_git(url: str) -> bool:
    """Whether a source or context names a repository, by Docker's rule."""
    return _GIT.match(url) is not None or url.startswith("github.com/")


@dataclass(frozen=True, slots=True)
class GitSource:
    """``URL#ref:subdir``, or ``URL?branch=…&subdir=…``. ``ref`` "" is the remote's HEAD."""

    remote: str
    ref: str = ""
    subdir: str = ""
    commit: str = ""
    keep_git: bool = False
    submodules: bool = True

    @property
    def over_ssh(self) -> bool:
        return self.remote.startswith(("git@", "ssh://"))

    @classmethod
    def parse(cls, url: str) -> GitSource:
        """InvalidParameter for a form that is not known."""
        if url.startswith("github.com/"):
            url = f"https://{url}"
        body, _, fragment = url.partition("#")
        source = cls(body)
        if "?" in body and not body.startswith("git@"):
            parts = urlsplit(body)
            source = cls(urlunsplit(parts._replace(query="")))
            for key, value in parse_qsl(parts.query, keep_blank_values=True):
                source = source._with(key, value)
        if fragment:
            ref, _, subdir = fragment.partition(":")
            source = replace(source, ref=ref or source.ref, subdir=subdir or source.subdir)
        for text in (source.ref, source.commit):
            if text and (not _REF.match(text) or text.startswith("-")):
                raise InvalidParameter(f"invalid git reference: {text}")
        return source

    def _with(self, key: str, value: str) -> GitSource:
        if key not in _QUERY:
            raise InvalidParameter(f'unexpected query "{key}" of a git URL: {", ".join(_QUERY)} are known')
        if key in ("ref", "branch", "tag"):
            return replace(self, ref=value)
        if key in ("commit", "checksum"):
            return replace(self, commit=value)
        if key == "subdir":
            return replace(self, subdir=value)
        on = value.lower() not in ("0", "false")
        return replace(self, keep_git=on) if key == "keep-git-dir" else replace(self, submodules=on)


async def fetch(source: GitSource, target: Path, agent: Path | None = None) -> Path:
    """The repository's files in ``target`` (an empty directory); the directory asked for in it. ``agent``: a socket
    of an ssh agent. Unavailable with git's own words when it cannot be had, InvalidParameter for a commit that is not
    the one asked for."""
    program = shutil.which("git")
    if program is None:
        raise SystemFailure("git is not installed on this machine, and a git source needs it (apt-get install git)")
    git = _Git(program, target, agent)
    try:
        await git.run("init", "-q", "-b", "main")
        wanted = source.ref or (source.commit if _SHA.match(source.commit) else "HEAD")
        done = await git.try_run("fetch", "-q", "--depth=1", "--", source.remote, wanted)
        if done.rc != 0:    # a shortened commit, or a server that gives no single commits
            await git.run("fetch", "-q", "--tags", "--", source.remote, "+refs/heads/*:refs/remotes/origin/*")
            await git.run("checkout", "-q", "--detach", source.ref or source.commit or "FETCH_HEAD")
        else:
            await git.run("checkout", "-q", "--detach", "FETCH_HEAD")
        head = (await git.run("rev-parse", "HEAD")).stdout.decode().strip()
        if source.commit and not head.startswith(source.commit):
            raise InvalidParameter(f"expected checksum to match {source.commit}, got {head}")
        if source.submodules and (target / ".gitmodules").is_file():
            await git.run("submodule", "update", "-q", "--init", "--recursive", "--depth=1")
    finally:
        git.close()
    if not source.keep_git:
        for entry in list(target.rglob(".git")):
            files.remove_tree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    return _subdirectory(source, target)


def _subdirectory(source: GitSource, target: Path) -> Path:
    if not source.subdir:
        return target
    path = rootpath.inside(os.fspath(target), source.subdir)
    if not os.path.isdir(path):
        raise InvalidParameter(f"{source.remote} has no directory {source.subdir}")
    return Path(path)


class _Git:
    """The program, with nothing of this machine's configuration and no transport but the network's."""

    def __init__(self, program: str, folder: Path, agent: Path | None) -> None:
        self._program = program
        self._folder = folder
        self._spawner = Spawner()
        self._env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/nonexistent", "LC_ALL": "C",
                     "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "GIT_ALLOW_PROTOCOL": "git:http:https:ssh",
                     "GIT_SSH_COMMAND": "ssh -o StrictHostKeyChecking=accept-new -o BatchMode=yes"}
        for name in ("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
            if name in os.environ:
                self._env[name] = os.environ[name]
        if agent is not None:
            self._env["SSH_AUTH_SOCK"] = str(agent)

    async def try_run(self, *words: str) -> Completed:
        return await self._spawner.run([self._program, "-C", str(self._folder), *words], env=self._env)

    async def run(self, *words: str) -> Completed:
        done = await self.try_run(*words)
        if done.rc != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise Unavailable(f"git {words[0]} failed: {said[-1] if said else f'exit code {done.rc}'}")
        return done

    def close(self) -> None:
        self._spawner.close()
