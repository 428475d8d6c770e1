"""What COPY and ADD do with files: choose sources, tell their content apart (the cache), copy.

The rules are BuildKit's, seen on it: a directory gives its content, not itself; a source that is a link is followed
inside its root, links below it are kept; the destination is resolved inside its root; directories are merged, their
modes taken from the source (not that of the destination itself); a file never replaces a directory nor the reverse.
"""

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from solva.build import rootpath, users
from solva.build.filemode import Chmod
from solva.build.ignore import Ignore, compile_match
from solva.errors import InvalidParameter
from solva.kernel import files, xattr

_META = "*?["


@dataclass(frozen=True, slots=True)
class CopySpec:
    """One COPY with its words expanded. ``destination`` is absolute; a slash at its end means a directory."""

    sources: tuple[str, ...]
    destination: str
    chown: str = ""
    chmod: Chmod | None = None
    parents: bool = False
    exclude: tuple[str, ...] = ()
    keep_owner: bool = False    # sources from a stage or an image keep theirs; a context's files are root's

    @property
    def into_directory(self) -> bool:
        return self.destination.endswith("/")

    def describe(self) -> str:
        """All of it that matters to the result, for the cache key."""
        mode = self.chmod.text if self.chmod else ""
        return repr((self.destination, self.chown, mode, self.parents, self.exclude, self.keep_owner))


@dataclass(slots=True)
class Tree:
    """A directory files are copied from: the context, a stage's or an image's root."""

    root: str
    digests: dict[str, bytes] = field(default_factory=dict)

    def digest(self, path: str) -> bytes:
        """SHA-256 of a regular file's content; each file is read once a build."""
        found = self.digests.get(path)
        if found is None:
            with open(path, "rb") as file:
                found = self.digests[path] = hashlib.file_digest(file, "sha256").digest()
        return found


@dataclass(frozen=True, slots=True)
class Source:
    """A chosen source: its host path and the name it takes under a destination directory ("" for a content)."""

    path: str
    name: str
    directory: bool


def select(tree: Tree, spec: CopySpec) -> list[Source]:
    """The sources that exist, in order; InvalidParameter when a literal one does not."""
    chosen: list[Source] = []
    for pattern in spec.sources:
        paths = sorted(_matches(tree.root, pattern)) if any(char in pattern for char in _META) else [pattern]
        for path in paths:
            host = rootpath.inside(tree.root, path)
            try:
                info = os.stat(host, follow_symlinks=False)
            except (OSError, ValueError):
                raise InvalidParameter("COPY failed: file not found in build context or excluded by .dockerignore: "
                                       f"stat {pattern.lstrip('/')}: file does not exist") from None
            directory = stat.S_ISDIR(info.st_mode)
            name = _parent_name(path, directory) if spec.parents else \
                "" if directory else posixpath.basename(rootpath.clean(path))
            chosen.append(Source(host, name, directory))
    if len(chosen) > 1 and not spec.into_directory and not all(source.directory for source in chosen):
        raise InvalidParameter("When using COPY with more than one source file, the destination must be a directory "
                               "and end with a /")
    return chosen


def _parent_name(path: str, directory: bool) -> str:
    """The name with ``--parents``: the path as given, or what follows ``/./`` in it."""
    _, pivot, after = path.partition("/./")
    return rootpath.clean(after if pivot else path)


def _matches(root: str, pattern: str) -> Iterator[str]:
    """Paths of ``root`` that match, component by component (``*`` never crosses a slash; links are followed)."""
    pivot = "/./" if "/./" in pattern else ""
    if pivot:
        head, _, tail = pattern.partition(pivot)
        for left in _expand(root, "", rootpath.clean(head).split("/")):
            for right in _expand(root, left, rootpath.clean(tail).split("/")):
                yield left + pivot + right.removeprefix(left).lstrip("/")
        return
    yield from _expand(root, "", rootpath.clean(pattern).split("/"))


def _expand(root: str, base: str, parts: list[str]) -> Iterator[str]:
    part, rest = parts[0], parts[1:]
    if part == "**" and rest:
        yield from _expand(root, base, rest)
        for name in _children(root, base):
            child = posixpath.join(base, name)
            host = os.path.join(root, child)
            if os.path.isdir(host) and not os.path.islink(host):
                yield from _expand(root, child, parts)
        return
    wild = any(char in part for char in _META)
    if wild:
        expression = compile_match(part)
        names = [name for name in _children(root, base) if expression.fullmatch(name)]
    else:
        name = part.replace("\\", "")
        names = [name] if os.path.lexists(rootpath.inside(root, posixpath.join(base, name), last=False)) else []
    for name in names:
        path = posixpath.join(base, name)
        if rest and wild and os.path.islink(os.path.join(root, path)):
            continue        # a wildcard does not go through links to directories, a plain name does
        if rest:
            yield from _expand(root, path, rest)
        else:
            yield path


def _children(root: str, base: str) -> list[str]:
    try:
        return sorted(os.listdir(rootpath.inside(root, base)))
    except OSError:
        return []


def _walk(top: str, ignore: Ignore, below: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every entry below ``top`` but the excluded ones, parents first, sorted; (relative path, entry)."""
    with os.scandir(top) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        relative = below + entry.name
        excluded = bool(ignore) and ignore.excluded(relative)
        if entry.is_dir(follow_symlinks=False):
            if not excluded:
                yield relative, entry
                yield from _walk(entry.path, ignore, relative + "/")
            elif ignore.has_exceptions:
                inner = list(_walk(entry.path, ignore, relative + "/"))
                if inner:
                    yield relative, entry
                    yield from inner
        elif not excluded:
            yield relative, entry


def fingerprint(tree: Tree, chosen: list[Source], spec: CopySpec) -> str:
    """A digest of all that would be copied: names, kinds, modes, owners that are kept, link targets, data."""
    total = hashlib.sha256()
    ignore = Ignore(spec.exclude)
    for source in chosen:
        info = os.lstat(source.path)
        total.update(repr((source.name, source.directory)).encode("utf-8", "surrogateescape"))
        if not source.directory:
            _hash_entry(total, tree, source.path, "", info, spec)
            continue
        if source.name:
            _hash_entry(total, tree, source.path, "", info, spec)
        for relative, entry in _walk(source.path, ignore):
            _hash_entry(total, tree, entry.path, relative, entry.stat(follow_symlinks=False), spec)
    return total.hexdigest()


def _hash_entry(total: "hashlib._Hash", tree: Tree, path: str, name: str, info: os.stat_result,
                spec: CopySpec) -> None:
    detail: object = None
    if stat.S_ISREG(info.st_mode):
        detail = tree.digest(path)
    elif stat.S_ISLNK(info.st_mode):
        detail = os.readlink(path)
    elif stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
        detail = info.st_rdev
    owner = (info.st_uid, info.st_gid) if spec.keep_owner else None
    attributes = xattr.read_all(path) if spec.keep_owner else {}
    total.update(repr((name, info.st_mode, owner, detail, attributes)).encode("utf-8", "surrogateescape"))


class Copier:
    """One COPY into one root. ``chown`` names are looked up in that root."""

    def __init__(self, spec: CopySpec, root: str) -> None:
        self._spec = spec
        self._root = root
        self._ignore = Ignore(spec.exclude)
        self._owner = users.lookup(root, spec.chown) if spec.chown else None if spec.keep_owner else (0, 0)
        self._links: dict[tuple[int, int], str] = {}

    @property
    def named_owner(self) -> tuple[int, int] | None:
        """The owner that --chown names; None without it."""
        return self._owner if self._spec.chown else None

    def copy(self, chosen: list[Source]) -> None:
        """Copy all of ``chosen``; InvalidParameter where a file and a directory collide."""
        for source in chosen:
            self._source(source)

    def make_dirs(self, path: str) -> str:
        """The destination's missing directories: with the owner and the octal mode that the COPY names."""
        uid, gid = self._owner or (0, 0)
        chmod = self._spec.chmod
        mode = chmod.octal & 0o777 if chmod and chmod.octal is not None else 0o755
        return rootpath.make_dirs(self._root, path, uid, gid, mode)

    def target(self, name: str) -> str:
        """Where a file called ``name`` goes: into the destination if that is a directory, else onto it."""
        destination = self._spec.destination
        if self._spec.into_directory or os.path.isdir(rootpath.inside(self._root, destination)):
            return os.path.join(self.make_dirs(destination), name)
        self.make_dirs(posixpath.dirname(destination))
        return rootpath.inside(self._root, destination)

    def _source(self, source: Source) -> None:
        if self._spec.parents:
            self._with_parents(source)
        elif source.directory:
            self._content(source.path, self._destination_directory(self._spec.destination))
        else:
            self._file(source.path, self.target(source.name), os.lstat(source.path))

    def _destination_directory(self, path: str) -> str:
        host = rootpath.inside(self._root, path)
        if os.path.lexists(host) and not os.path.isdir(host):
            raise InvalidParameter(f"cannot copy to non-directory: {path}")
        return self.make_dirs(path)

    def _with_parents(self, source: Source) -> None:
        destination = posixpath.join(self._spec.destination, source.name)
        if source.directory:
            target = self._destination_directory(destination)
            self._content(source.path, target)
            self._finish(source.path, target, os.lstat(source.path))
            return
        self.make_dirs(posixpath.dirname(destination))
        self._file(source.path, rootpath.inside(self._root, destination, last=False), os.lstat(source.path))

    def _content(self, top: str, target: str) -> None:
        """The entries below ``top`` into the existing directory ``target``; directories get their times last."""
        made: list[tuple[str, str, os.stat_result]] = []
        for relative, entry in _walk(top, self._ignore):
            info = entry.stat(follow_symlinks=False)
            path = os.path.join(target, relative)
            if not stat.S_ISDIR(info.st_mode):
                self._file(entry.path, path, info)
                continue
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    raise InvalidParameter(f"cannot copy to non-directory: {self._shown(path)}") from None
            made.append((entry.path, path, info))
        for source, path, info in reversed(made):
            self._finish(source, path, info)

    def _file(self, source: str, target: str, info: os.stat_result) -> None:
        """One entry that is no directory. An existing file or link there is replaced."""
        try:
            if stat.S_ISDIR(os.lstat(target).st_mode):
                raise InvalidParameter(f"cannot replace to directory {self._shown(target)} with file")
            os.unlink(target)
        except FileNotFoundError:
            pass
        kind = stat.S_IFMT(info.st_mode)
        if info.st_nlink > 1 and kind == stat.S_IFREG:
            first = self._links.setdefault((info.st_dev, info.st_ino), target)
            if first != target and os.path.lexists(first):
                os.link(first, target, follow_symlinks=False)
                return
        if kind == stat.S_IFREG:
            files.copy_file(source, target)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(source), target)
        elif kind == stat.S_IFIFO:
            os.mkfifo(target)
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            os.mknod(target, kind | 0o600, info.st_rdev)
        else:
            return      # a socket
        self._finish(source, target, info)

    def _finish(self, source: str, target: str, info: os.stat_result) -> None:
        """Owner, attributes, mode, times."""
        uid, gid = self._owner or (info.st_uid, info.st_gid)
        rootpath.own(target, uid, gid)
        if not stat.S_ISLNK(info.st_mode):
            if self._spec.keep_owner:
                xattr.write_all(target, xattr.read_all(source))
            mode = stat.S_IMODE(info.st_mode)
            if self._spec.chmod:
                mode = self._spec.chmod.apply(mode, stat.S_ISDIR(info.st_mode))
            os.chmod(target, mode)
        os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)

    def _shown(self, path: str) -> str:
        return "/" + os.path.relpath(path, self._root)
