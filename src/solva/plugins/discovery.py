"""Where plugins are found: ``NAME.sock`` is the plugin's socket, ``NAME.spec`` holds its address, ``NAME.json`` its
address and TLS settings; in one of the directories, or in a folder ``NAME`` of it.

As Docker has it: https://docs.docker.com/engine/extend/plugin_api/#plugin-discovery
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from solva.plugins.errors import PluginError

DIRECTORIES = ("/run/docker/plugins", "/etc/docker/plugins", "/usr/lib/docker/plugins")
SUFFIXES = (".sock", ".spec", ".json")
MAX_FILE = 1 << 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_SCHEMES = ("unix", "tcp", "http", "https")


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files, "" for none. Without a ``ca`` the certificate is not checked, as in Docker."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class Location:
    """``address``: ``unix:///path``, ``tcp://host:port``, ``http(s)://host:port``. ``file``: what named it. ``stamp``
    changes when file or socket are made anew."""

    name: str
    address: str
    file: str
    tls: Tls | None = None
    stamp: tuple[int, int] = (0, 0)


class _TlsConfig(msgspec.Struct):
    InsecureSkipVerify: bool = False
    CAFile: str = ""
    CertFile: str = ""
    KeyFile: str = ""


class _Description(msgspec.Struct):
    Addr: str
    TLSConfig: _TlsConfig | None = None


def find(name: str, directories: Sequence[str]) -> Location | None:
    """The plugin of that name; sockets before files that describe one. PluginError for a file that cannot be read."""
    if not _NAME.match(name):
        return None
    for suffix in SUFFIXES:
        for directory in directories:
            for path in (Path(directory, name + suffix), Path(directory, name, name + suffix)):
                found = _at(name, path)
                if found is not None:
                    return found
    return None


def scan(directories: Sequence[str]) -> list[str]:
    """The names of all, each once, sorted."""
    return sorted({name for directory in directories for name in _names(Path(directory))})


def _names(directory: Path, deeper: bool = True) -> Iterator[str]:
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    for entry in entries:
        name, suffix = os.path.splitext(entry.name)
        if suffix in SUFFIXES and _NAME.match(name) and (deeper or name == directory.name):
            yield name
        elif deeper and entry.is_dir():
            yield from _names(Path(entry.path), False)


def _at(name: str, path: Path) -> Location | None:
    try:
        info = path.stat()
    except OSError:
        return None
    stamp = (info.st_ino, info.st_mtime_ns)
    if path.suffix == ".sock":
        return Location(name, f"unix://{path}", str(path), None, stamp) if stat.S_ISSOCK(info.st_mode) else None
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE)
    except OSError as error:
        raise PluginError(f'plugin "{name}": {path}: {(error.strerror or str(error)).lower()}') from error
    if path.suffix == ".spec":
        return Location(name, _address(name, path, text.decode(errors="replace").strip()), str(path), None, stamp)
    return _described(name, path, text, stamp)


def _described(name: str, path: Path, text: bytes, stamp: tuple[int, int]) -> Location:
    try:
        raw: Any = msgspec.json.decode(text)
        if isinstance(raw, dict):
            raw = {key: value for key, value in raw.items() if value is not None}
        found = msgspec.convert(raw, _Description)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PluginError(f'plugin "{name}": {path}: {error}; it must be an object with "Addr" and, for TLS, '
                          '"TLSConfig"') from error
    tls = None
    if found.TLSConfig is not None:
        given = found.TLSConfig
        tls = Tls(given.CAFile, given.CertFile, given.KeyFile, given.InsecureSkipVerify or not given.CAFile)
    return Location(name, _address(name, path, found.Addr), str(path), tls, stamp)


def _address(name: str, path: Path, text: str) -> str:
    wanted = f'plugin "{name}": {path}: '
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise PluginError(f"{wanted}{text[:200]!r} is no address: {error}") from error
    if parts.scheme not in _SCHEMES:
        raise PluginError(f"{wanted}{text[:200]!r} is no address: it must begin with unix://, tcp://, http:// or https://")
    if parts.scheme == "unix":
        if not parts.path.startswith("/") or parts.netloc:
            raise PluginError(f"{wanted}{text[:200]!r}: the path of a socket must be absolute (unix:///path)")
    elif not parts.hostname or (port is None and parts.scheme == "tcp"):
        raise PluginError(f"{wanted}{text[:200]!r}: host and port are needed")
    return text
