"""Log drivers and their options: what is allowed, what it comes to. Words as Docker's."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from solva.errors import InvalidParameter

DEFAULT = "json-file"
_ATTRIBUTES = ("labels", "labels-regex", "env", "env-regex", "tag")
_FILES = ("max-size", "max-file", "compress")
_SYSLOG = ("syslog-address", "syslog-facility", "syslog-format", "syslog-tls-ca-cert", "syslog-tls-cert",
           "syslog-tls-key", "syslog-tls-skip-verify")
_COMMON = ("mode", "max-buffer-size", "cache-disabled", "cache-max-size", "cache-max-file", "cache-compress")
DRIVERS: Mapping[str, tuple[str, ...]] = {
    "json-file": (*_FILES, *_ATTRIBUTES), "local": (*_FILES, *_ATTRIBUTES), "none": (), "journald": _ATTRIBUTES,
    "syslog": (*_SYSLOG, *_ATTRIBUTES),
}
FACILITIES = ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp")
FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?\Z", re.IGNORECASE)
_TAG = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_TAGS = {".ID": "id", ".FullID": "full_id", ".Name": "name", ".ImageID": "image_id", ".ImageFullID": "image_full_id",
         ".ImageName": "image", ".DaemonName": "daemon", ".Command": "command"}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose log it is, for tags and attributes. ``name`` without a slash; ``image_id`` with its sha256."""

    full_id: str
    name: str
    image: str
    image_full_id: str
    labels: Mapping[str, str]
    env: tuple[str, ...]
    command: str = ""
    daemon: str = "solva"

    @property
    def id(self) -> str:
        return self.full_id[:12]

    @property
    def image_id(self) -> str:
        return self.image_full_id.removeprefix("sha256:")[:12]


@dataclass(frozen=True, slots=True)
class Files:
    """How much is kept. ``size`` in bytes, 0 for no limit; ``count`` files, the one written to among them."""

    size: int
    count: int
    compress: bool


def check(driver: str, config: Mapping[str, str]) -> None:
    """InvalidParameter for a driver or an option that there is not."""
    known = DRIVERS.get(driver or DEFAULT)
    if known is None:
        raise InvalidParameter(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    mode = config.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidParameter(f"logger: logging mode not supported: {mode}")
    if driver == "none":
        return
    for key in config:
        if key not in known and key not in _COMMON:
            raise InvalidParameter(f"unknown log opt '{key}' for {driver or DEFAULT} log driver")
    if driver == "syslog":
        address(config.get("syslog-address", ""))
        facility(config.get("syslog-facility", ""))
        if config.get("syslog-format", "") not in FORMATS:
            raise InvalidParameter("Invalid syslog format")


def files(driver: str, config: Mapping[str, str]) -> Files:
    """InvalidParameter for what is no size or number, as Docker finds when a container starts."""
    local = driver == "local"
    if driver in ("journald", "syslog"):
        config = {"max-size": config.get("cache-max-size", ""), "max-file": config.get("cache-max-file", ""),
                  "compress": config.get("cache-compress", "")}
        local = True
    size = _bytes(config.get("max-size", "") or ("20m" if local else ""))
    text = config.get("max-file", "") or ("5" if local else "1")
    if not text.lstrip("-").isdigit():
        raise InvalidParameter(f'strconv.Atoi: parsing "{text}": invalid syntax')
    if int(text) < 1:
        raise InvalidParameter("max-file cannot be less than 1")
    word = config.get("compress", "").lower() or ("true" if local and int(text) > 1 else "false")
    if word not in ("1", "t", "true", "0", "f", "false"):
        raise InvalidParameter(f'strconv.ParseBool: parsing "{word}": invalid syntax')
    compress = word in ("1", "t", "true")
    if compress and (int(text) == 1 or not size):
        raise InvalidParameter("compress cannot be true when max-file is less than 2 or max-size is not set")
    return Files(size, int(text), compress)


def _bytes(text: str) -> int:
    """``10m``: decimal, as Docker counts here; 0 for none."""
    if not text or text == "-1":
        return 0
    match = _SIZE.match(text)
    if match is None:
        raise InvalidParameter(f"invalid size: '{text}'")
    return int(float(match[1]) * 1000 ** " kmgtp".index(match[2].lower() or " "))


def address(text: str) -> tuple[str, str]:
    """(scheme, host:port or path) of ``syslog-address``; ("", "") for this machine's own syslog."""
    if not text:
        return "", ""
    parts = urlsplit(text)
    if parts.scheme in ("unix", "unixgram"):
        if not os.path.exists(parts.path):
            raise InvalidParameter(f"stat {parts.path}: no such file or directory")
        return parts.scheme, parts.path
    if parts.scheme not in ("udp", "tcp", "tcp+tls"):
        raise InvalidParameter(f"unsupported scheme: '{parts.scheme}'")
    host = parts.netloc
    return parts.scheme, host if re.search(r":\d+\Z", host) else f"{host}:514"


def facility(text: str) -> int:
    """The number of a facility's name (daemon without one)."""
    if not text:
        return FACILITIES.index("daemon")
    if text in FACILITIES:
        return FACILITIES.index(text) if text not in ("authpriv", "ftp") else 10 + (text == "ftp")
    if re.fullmatch(r"local[0-7]", text):
        return 16 + int(text[5])
    if text.isdigit() and int(text) <= 23:
        return int(text)
    raise InvalidParameter("invalid syslog facility")


def tag(config: Mapping[str, str], subject: Subject, default: str) -> str:
    """The ``tag`` option filled in. InvalidParameter for a field that there is not."""
    def fill(match: re.Match[str]) -> str:
        field = _TAGS.get(match[1])
        if field is None:
            raise InvalidParameter(f"template: log-tag: {match[0]} is not one of "
                                   f"{', '.join('{{' + name + '}}' for name in _TAGS)}")
        return str(getattr(subject, field))

    return _TAG.sub(fill, config.get("tag", "") or default)


def attributes(config: Mapping[str, str], subject: Subject) -> dict[str, str]:
    """Labels and variables that the options ask for."""
    env = dict(entry.partition("=")[::2] for entry in subject.env)
    found: dict[str, str] = {}
    for source, names, pattern in ((subject.labels, config.get("labels", ""), config.get("labels-regex", "")),
                                   (env, config.get("env", ""), config.get("env-regex", ""))):
        wanted = set(names.split(",")) if names else set()
        try:
            matcher = re.compile(pattern) if pattern else None
        except re.error as error:
            raise InvalidParameter(f"error parsing regexp: {error}") from error
        found |= {key: value for key, value in source.items()
                  if key in wanted or (matcher is not None and matcher.search(key))}
    return found
