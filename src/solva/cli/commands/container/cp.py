"""``solva cp``: files between a container and this machine."""

from __future__ import annotations

import os
import sys

from solva.cli.errors import CommandError
from solva.cli.files import pieces
from solva.cli.flags import Command, Flag
from solva.cli.output.units import human_size
from solva.cli.session import warn
from solva.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session
    from solva.client.transport import Transport

_DIRECTORY = 1 << 31
_SYMLINK = 1 << 27


def run(session: Session, options: Options) -> int:
    """Copy one way or the other."""
    source, target = options.args
    from_container, source_path = _split(source)
    to_container, target_path = _split(target)
    if from_container and to_container:
        raise CommandError("copying between containers is not supported")
    if not from_container and not to_container:
        raise CommandError("must specify at least one container source")
    if not source or not target:
        raise CommandError("destination can not be empty" if source else "source can not be empty")
    archive, follow = options.on("archive"), options.on("follow-link")
    quiet = options.on("quiet") if "quiet" in options.changed else not sys.stdout.isatty()
    if from_container:
        size = _download(session.api, from_container, source_path, target, archive=archive, follow=follow)
        if target == "-":
            return 0
    else:
        size = _upload(session.api, source, to_container, target_path, archive=archive, follow=follow)
    if not quiet:
        warn(f"Successfully copied {human_size(size)} to {target}")
    return 0


def _split(text: str) -> tuple[str, str]:
    """``container:path``; no container for a local path, which is absolute, or begins with ``.``."""
    if text.startswith(("/", ".")):
        return "", text
    container, colon, path = text.partition(":")
    if not colon or not container:
        return "", text
    return container, path


def stat(api: Transport, container: str, path: str) -> dict[str, Any]:
    """The engine's view of a path: name, size, mode, linkTarget. NotFound when it is not there."""
    import base64

    from solva.client.fastjson import loads

    response = api.send("HEAD", f"/containers/{container}/archive", query={"path": path})
    with response:
        header = response.headers.get("x-docker-container-path-stat", "")
        if response.status == 404:
            raise NotFound(f"Could not find the file {path} in container {container}")
        if response.status >= 400 or not header:
            raise CommandError(f"Error response from daemon: cannot stat {path} in container {container}")
    value: dict[str, Any] = loads(base64.b64decode(header))
    return value


def _download(api: Transport, container: str, path: str, target: str, *, archive: bool, follow: bool) -> int:
    if follow:
        info = stat(api, container, path)
        if info["mode"] & _SYMLINK and info.get("linkTarget"):
            path = os.path.join(os.path.dirname(path), info["linkTarget"])
    try:
        response = api.request("GET", f"/containers/{container}/archive", query={"path": path})
    except NotFound as error:
        raise CommandError(f"Error response from daemon: {error}") from None
    with response:
        if target == "-":
            for data in response.chunks():
                sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return 0
        return _extract(response.chunks(), path, target, archive)


def _extract(chunks: Iterator[bytes], path: str, target: str, archive: bool) -> int:
    """Unpack the archive of ``path``, its first component renamed to what the target says; the bytes unpacked."""
    import tarfile

    contents = path.endswith(("/.", "/"))
    total = 0
    place = ""
    reader: Any = _Reader(chunks)
    with tarfile.open(fileobj=reader, mode="r|") as tar:
        for member in tar:
            name = member.name.strip("/")
            first, _, rest = name.partition("/")
            if not place:
                place = _local_place(target, first, member.isdir(), contents=contents and path.endswith("/."))
            relative = os.path.basename(place) + (f"/{rest}" if rest else "")
            if member.islnk():
                member.linkname = os.path.basename(place) + "/" + member.linkname.strip("/").partition("/")[2]
            member.name = relative
            if not archive:
                member.uid, member.gid = os.getuid(), os.getgid()
            total += member.size
            folder = os.path.dirname(place)
            try:
                tar.extract(member, folder, numeric_owner=True, filter="tar")
            except tarfile.FilterError as error:
                raise CommandError(f"refused by the rules of extraction: {error}") from None
            except OSError as error:
                raise CommandError(f"{relative}: {error.strerror or error}") from None
    return total


def _local_place(target: str, name: str, is_directory: bool, *, contents: bool) -> str:
    """The absolute path that the archive's root becomes."""
    place = os.path.abspath(target)
    if os.path.isdir(target):
        return place if contents and is_directory else os.path.join(place, name)
    if os.path.lexists(target):
        if is_directory:
            raise CommandError("cannot copy directory")
        return place
    if target.endswith("/") and not is_directory:
        raise CommandError(f'destination directory "{target}" must exist')
    parent = os.path.dirname(place)
    if not os.path.isdir(parent):
        raise CommandError(f'invalid output path: directory "{parent}" does not exist')
    return place


class _Reader:
    """Chunks as the file object that tarfile reads."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""

    def read(self, size: int) -> bytes:
        parts = [self._buffer]
        have = len(self._buffer)
        while have < size:
            data = next(self._chunks, b"")
            if not data:
                break
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]


def _upload(api: Transport, source: str, container: str, path: str, *, archive: bool, follow: bool) -> int:
    query = {"copyUIDGID": archive or None, "noOverwriteDirNonDir": True}
    info = None
    try:
        info = stat(api, container, path)
        if info["mode"] & _SYMLINK and info.get("linkTarget"):
            path = os.path.join(os.path.dirname(path), info["linkTarget"]) + ("/." if path.endswith("/.") else "")
            info = stat(api, container, path)
    except NotFound:
        pass
    is_directory = info is not None and bool(info["mode"] & _DIRECTORY)
    if source == "-":
        if not is_directory:
            raise CommandError(f'destination "{container}:{path}" must be a directory')
        _put(api, container, path, query, pieces(sys.stdin.buffer))
        return 0
    if not os.path.lexists(source):
        raise CommandError(f"lstat {os.path.abspath(source)}: no such file or directory")
    directory = os.path.isdir(source) and (follow or not os.path.islink(source.rstrip("/")) or source.endswith("/."))
    name = os.path.basename(os.path.abspath(source))
    if is_directory:
        folder, name = path, "." if source.endswith("/.") and directory else name
    elif info is not None:
        if directory:
            raise CommandError("cannot copy directory")
        folder, name = os.path.dirname(path.rstrip("/")) or "/", os.path.basename(path)
    else:
        if path.endswith("/") and not directory:
            raise CommandError("destination directory must exist" if not path.strip("/") else
                               f'destination "{container}:{path}" must be a directory: no such directory')
        folder, name = os.path.dirname(path.rstrip("/")) or "/", os.path.basename(path.rstrip("/"))
    counter = [0]
    _put(api, container, folder, query, _packed(source, name, counter, follow))
    return counter[0]


def _put(api: Transport, container: str, folder: str, query: dict[str, Any], upload: Iterator[bytes]) -> None:
    try:
        api.request("PUT", f"/containers/{container}/archive", query={"path": folder, **query}, upload=upload,
                    headers={"Content-Type": "application/x-tar"}).close()
    except NotFound as error:
        raise CommandError(f"Error response from daemon: {error}") from None


def _packed(source: str, name: str, counter: list[int], follow: bool) -> Iterator[bytes]:
    """A tar archive of ``source`` under ``name``, piece by piece; ``counter[0]`` is its files' size."""
    import tarfile

    pieces_out = _Pieces()
    sink: Any = pieces_out
    root = os.path.realpath(source) if follow else source.rstrip("/") or "/"
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path, inner in _walk(root, name):
            member = tar.gettarinfo(path, arcname=inner)
            if member is None:
                continue  # a socket: nothing to copy
            if member.isreg():
                counter[0] += member.size
                with open(path, "rb") as file:
                    tar.addfile(member, file)
            else:
                tar.addfile(member)
            yield from pieces_out.take()
    yield from pieces_out.take()


def _walk(root: str, name: str) -> Iterator[tuple[str, str]]:
    yield root, name
    if os.path.isdir(root) and not os.path.islink(root):
        for entry in sorted(os.listdir(root)):
            yield from _walk(os.path.join(root, entry), f"{name}/{entry}")


class _Pieces:
    """What tarfile writes, for whoever takes it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(data)
        return len(data)

    def take(self) -> Iterator[bytes]:
        parts, self._parts = self._parts, []
        yield from parts


COMMAND = Command(
    "cp", "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    "Copy files or folders between a container and the local filesystem", run,
    flags=(
        Flag("archive", "a", "bool", "Keep owners (uid and gid)"),
        Flag("follow-link", "L", "bool", "Follow a symbolic link that SRC_PATH is"),
        Flag("quiet", "q", "bool", "Say nothing; the default where output is no terminal"),
    ),
    arity=(2, 2), aliases=("container cp", "cp"),
    long="'-' as the source reads a tar archive from standard input and extracts it into a\n"
         "directory of the container; '-' as the destination writes one to standard output.",
)
