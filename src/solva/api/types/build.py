"""Options of ``POST /build``, decoded from Docker's query parameters (API v1.51)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from solva.errors import InvalidParameter, NotImplementedHere

T = TypeVar("T")

_NUMBERS = ("memory", "memswap", "cpushares", "cpuperiod", "cpuquota", "shmsize")
_FLAGS = ("q", "nocache", "pull", "rm", "forcerm", "squash")
_IGNORED = {"version", "buildid", "session", "cpusetmems", "isolation", "outputs", "securityopt", "cgroupparent"}


class BuildUlimit(msgspec.Struct, frozen=True, rename="pascal"):
    """One ulimit for RUN steps; -1 is unlimited."""

    name: str
    soft: int
    hard: int


class BuildOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of a build. Sizes in bytes; an empty string or 0 is "not given"."""

    dockerfile: str = "Dockerfile"
    tags: tuple[str, ...] = ()
    remote: str = ""
    quiet: bool = False
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()   # stages
    pull: bool = False
    cache_from: tuple[str, ...] = ()
    cache_imports: tuple[str, ...] = ()     # images whose cache is taken over first
    build_args: dict[str, str | None] = {}
    labels: dict[str, str] = {}
    target: str = ""
    platform: str = ""
    network_mode: str = ""
    extra_hosts: tuple[str, ...] = ()
    shm_size: int = 0
    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    ulimits: tuple[BuildUlimit, ...] = ()
    notes: tuple[str, ...] = ()     # accepted options that change nothing here, as lines for the user

    @classmethod
    def from_query(cls, query: Mapping[str, Any]) -> BuildOptions:
        """Decode. Values are strings, ``t`` may be a list of them. InvalidParameter for a malformed value."""
        flags = {name: _flag(query, name) for name in _FLAGS}
        numbers = {name: _number(query, name) for name in _NUMBERS}
        _refuse(query, flags)
        tags = query.get("t") or ()
        cache_from = tuple(_json(query, "cachefrom", list[str] | None) or ())
        extra = query.get("extrahosts") or ""
        return cls(
            dockerfile=query.get("dockerfile") or "Dockerfile",
            tags=tuple(dict.fromkeys(tag for tag in ((tags,) if isinstance(tags, str) else tags) if tag)),
            remote=query.get("remote") or "",
            quiet=flags["q"],
            no_cache=flags["nocache"],
            pull=flags["pull"],
            cache_from=cache_from,
            build_args=_json(query, "buildargs", dict[str, str | None] | None) or {},
            labels=_json(query, "labels", dict[str, str] | None) or {},
            target=query.get("target") or "",
            platform=query.get("platform") or "",
            network_mode=query.get("networkmode") or "",
            extra_hosts=tuple(_hosts(extra)),
            shm_size=numbers["shmsize"],
            memory=numbers["memory"],
            memory_swap=numbers["memswap"],
            cpu_shares=numbers["cpushares"],
            cpu_period=numbers["cpuperiod"],
            cpu_quota=numbers["cpuquota"],
            cpuset_cpus=query.get("cpusetcpus") or "",
            ulimits=tuple(_json(query, "ulimits", list[BuildUlimit] | None) or ()),
            notes=_notes(query),
        )


def _refuse(query: Mapping[str, Any], flags: dict[str, bool]) -> None:
    """Options that ask for what Solva does not do."""
    if query.get("version") not in (None, "", "1", "2"):
        raise InvalidParameter(f'invalid version "{query["version"]}"')
    if query.get("version") == "2":
        raise NotImplementedHere("BuildKit builds over POST /build, as Docker's command line before 23 makes them, are "
                                 "not supported: set DOCKER_BUILDKIT=0, or use buildx")
    if flags["squash"]:
        raise NotImplementedHere("squash is not supported: each step that changes files is a layer of its own")
    if _json(query, "outputs", list[Any] | None):
        raise NotImplementedHere("build outputs other than an image are not supported")
    if query.get("isolation") not in (None, "", "default"):
        raise InvalidParameter(f'unsupported isolation: "{query["isolation"]}"')
    if _json(query, "securityopt", list[str] | None):
        raise InvalidParameter("security options are not supported on linux")
    if query.get("cgroupparent"):
        raise NotImplementedHere("a cgroup parent is not supported for builds")


def _notes(query: Mapping[str, Any]) -> tuple[str, ...]:
    notes = []
    if query.get("cpusetmems"):
        notes.append("cpuset-mems is not used")
    return tuple(notes)


def _flag(query: Mapping[str, Any], name: str) -> bool:
    return str(query.get(name) or "").strip().lower() not in ("", "0", "no", "false", "none")


def _number(query: Mapping[str, Any], name: str) -> int:
    text = query.get(name) or "0"
    try:
        return int(text)
    except ValueError:
        raise InvalidParameter(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _json(query: Mapping[str, Any], name: str, kind: Any) -> Any:
    text = query.get(name)
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        what = {"buildargs": "error reading build args", "labels": "error reading labels",
                "ulimits": "error reading ulimit settings", "cachefrom": "error reading cache-from",
                "outputs": "invalid outputs specified"}.get(name, f"error parsing {name}")
        raise InvalidParameter(f"{what}: {error}") from None


def _hosts(value: Any) -> list[str]:
    """``host:ip`` entries: a repeated parameter, a JSON list, or one comma-separated string (old clients)."""
    if not isinstance(value, str):
        return [entry for item in value for entry in _hosts(str(item))]
    if value.startswith("["):
        try:
            return msgspec.json.decode(value, type=list[str])
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise InvalidParameter(f"error parsing extrahosts: {error}") from None
    return [entry.strip() for entry in value.split(",") if entry.strip()]
