"""CNI: plugins that are programs, chained by a configuration list (https://www.cni.dev/docs/spec/)."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from solva.errors import InvalidParameter, NotFound
from solva.kernel.process import Completed, Spawner
from solva.plugins.errors import PluginError, PluginSilent

DIRECTORIES = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
MAX_FILE = 1 << 20
_LIMIT = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"      # plugins call iptables and the like
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Conflist:
    """A configuration list. ``text``: as it stands in the file."""

    name: str
    version: str
    plugins: tuple[Json, ...]
    checks: bool
    text: str

    def can(self, capability: str) -> bool:
        """Whether a plugin of the chain takes a capability's argument."""
        return any((plugin.get("capabilities") or {}).get(capability) is True for plugin in self.plugins)


@dataclass(frozen=True, slots=True)
class Result:
    """What an ADD has come to, as far as the engine needs it; addresses as ``ip``, ``prefix``, ``gateway``."""

    addresses: tuple[tuple[str, int, str], ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """Which sandbox a plugin works on, and what the runtime has to say (``runtimeConfig``, by capability)."""

    container: str
    netns: str
    ifname: str
    args: Mapping[str, str] = field(default_factory=dict)
    runtime: Mapping[str, Any] = field(default_factory=dict)


def parse(text: str, where: str) -> Conflist:
    """A ``.conflist``, or a ``.conf`` of one plugin. InvalidParameter names ``where`` and what is wrong."""
    def wrong(what: str) -> InvalidParameter:
        return InvalidParameter(f"{where}: {what}")

    try:
        raw: Any = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise wrong(f"no CNI configuration: {error}") from error
    if not isinstance(raw, dict):
        raise wrong("no CNI configuration: it must be an object")
    if "plugins" not in raw:
        if not isinstance(raw.get("type"), str):
            raise wrong('no CNI configuration: it has neither "plugins" nor "type"')
        raw = {**raw, "plugins": [raw]}
    name, version, plugins = raw.get("name"), raw.get("cniVersion", "0.2.0"), raw["plugins"]
    if not isinstance(name, str) or not _NAME.match(name):
        raise wrong(f"its name is {name!r}; it must be letters, digits, dots, dashes and underscores")
    if version not in VERSIONS:
        raise wrong(f"cniVersion is {version!r}; known are {', '.join(VERSIONS)}")
    if not isinstance(plugins, list) or not plugins:
        raise wrong('"plugins" must be a list of at least one')
    for number, plugin in enumerate(plugins):
        kind = plugin.get("type") if isinstance(plugin, dict) else None
        if not isinstance(kind, str) or not _NAME.match(kind):
            raise wrong(f'plugins[{number}] has no "type" that names a program')
        if not isinstance(plugin.get("capabilities", {}), dict):
            raise wrong(f'plugins[{number}].capabilities must be an object')
    checks = raw.get("disableCheck", False) is not True and _at_least(version, "0.4.0")
    return Conflist(name, version, tuple(plugins), checks, text)


def _at_least(version: str, other: str) -> bool:
    return VERSIONS.index(version) >= VERSIONS.index(other)


class Runner:
    """Runs plugins, in the namespaces it is first used in. ``timeout``: seconds for one program."""

    def __init__(self, timeout: float, directories: Sequence[str] = DIRECTORIES) -> None:
        self._spawner: Spawner | None = None      # a thread, for those who use CNI
        self._timeout = timeout
        self._directories = tuple(directories)

    def find(self, kind: str, directories: Sequence[str] = ()) -> str:
        """The program of a plugin. NotFound tells where it was looked for."""
        for directory in (*directories, *self._directories):
            path = os.path.join(directory, kind)
            if os.access(path, os.X_OK) and os.path.isfile(path):
                return path
        raise NotFound(f"CNI plugin {kind} is in none of {', '.join((*directories, *self._directories))} (Debian's "
                       "package is containernetworking-plugins)")

    async def verify(self, conf: Conflist, directories: Sequence[str]) -> None:
        """Every plugin is there and speaks the list's version. NotFound, InvalidParameter."""
        for plugin in conf.plugins:
            answer = await self._one(plugin["type"], directories, {"cniVersion": conf.version},
                                     {"CNI_COMMAND": "VERSION"})
            known = answer.get("supportedVersions")
            if isinstance(known, list) and conf.version not in known:
                spoken = ", ".join(map(str, known[:10]))
                raise InvalidParameter(f"CNI plugin {plugin['type']} does not speak version {conf.version} of the "
                                       f"configuration {conf.name}; it speaks {spoken}")
            if _at_least(conf.version, "1.1.0"):
                await self._one(plugin["type"], directories, _config(conf, plugin, Attachment("", "", ""), None),
                                {"CNI_COMMAND": "STATUS"})

    async def add(self, conf: Conflist, directories: Sequence[str], what: Attachment) -> Json:
        """The chain's result; a failed one has been taken back. PluginError."""
        result: Json | None = None
        try:
            for plugin in conf.plugins:
                result = await self._one(plugin["type"], directories, _config(conf, plugin, what, result),
                                         _environment("ADD", what))
                parsed(result)
        except BaseException:
            await asyncio.shield(self.delete(conf, directories, what, result))
            raise
        return result or {}

    async def delete(self, conf: Conflist, directories: Sequence[str], what: Attachment,
                     result: Json | None) -> list[Exception]:
        """In reverse; every plugin is tried. What went wrong."""
        problems: list[Exception] = []
        previous = result if _at_least(conf.version, "0.4.0") else None
        for plugin in reversed(conf.plugins):
            try:
                await self._one(plugin["type"], directories, _config(conf, plugin, what, previous),
                                _environment("DEL", what))
            except (PluginError, NotFound) as error:
                problems.append(error)
        return problems

    async def check(self, conf: Conflist, directories: Sequence[str], what: Attachment, result: Json) -> None:
        """PluginError when a plugin finds something missing; nothing for versions that have no CHECK."""
        if conf.checks:
            for plugin in conf.plugins:
                await self._one(plugin["type"], directories, _config(conf, plugin, what, result),
                                _environment("CHECK", what))

    async def _one(self, kind: str, directories: Sequence[str], config: Json, environment: Mapping[str, str]) -> Json:
        program = self.find(kind, directories)
        command = environment["CNI_COMMAND"]
        path = ":".join((*directories, *self._directories))
        if self._spawner is None:
            self._spawner = Spawner()
        feed = os.memfd_create("stdin", os.MFD_CLOEXEC)
        try:
            with open(feed, "wb", closefd=False) as file:
                file.write(msgspec.json.encode(config))
            os.lseek(feed, 0, os.SEEK_SET)
            async with asyncio.timeout(self._timeout):
                done = await self._spawner.run([program], fds={0: feed}, group=True, limit=_LIMIT,
                                               env={"PATH": _PATH, "CNI_PATH": path, **environment})
        except TimeoutError as error:
            raise PluginSilent(f"CNI plugin {kind} did not end its {command} within {self._timeout:g} "
                               "seconds") from error
        except OSError as error:
            raise PluginError(f"CNI plugin {program}: {(error.strerror or str(error)).lower()}") from error
        finally:
            os.close(feed)
        return _answer(kind, command, done)


def _environment(command: str, what: Attachment) -> dict[str, str]:
    args = ";".join(f"{key}={value}" for key, value in {"IgnoreUnknown": "1", **what.args}.items())
    return {"CNI_COMMAND": command, "CNI_CONTAINERID": what.container, "CNI_NETNS": what.netns,
            "CNI_IFNAME": what.ifname, "CNI_ARGS": args}


def _config(conf: Conflist, plugin: Json, what: Attachment, previous: Json | None) -> Json:
    """What a plugin reads: its part of the list, with name, version, the result so far and what it declared to take."""
    wanted = plugin.get("capabilities") or {}
    config = {key: value for key, value in plugin.items() if key != "capabilities"}
    config |= {"name": conf.name, "cniVersion": conf.version}
    runtime = {key: value for key, value in what.runtime.items() if wanted.get(key) is True}
    if runtime:
        config["runtimeConfig"] = runtime
    if previous is not None:
        config["prevResult"] = previous
    return config


def _answer(kind: str, command: str, done: Completed) -> Json:
    """A plugin's JSON; PluginError with its own words."""
    found: Any = None
    try:
        found = msgspec.json.decode(done.stdout) if done.stdout.strip() else {}
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        if not done.rc:
            raise PluginError(f"CNI plugin {kind} answered {command} with {done.stdout[:60]!r}, which is no "
                              "JSON") from None
    if done.rc:
        texts = [found.get(key) for key in ("msg", "details")] if isinstance(found, dict) else []
        said = "; ".join(text for text in texts if isinstance(text, str) and text)
        said = said or (done.stderr or done.stdout).decode(errors="replace").strip() or f"it ended with {done.rc}"
        raise PluginError(f"CNI plugin {kind}: {said[:1000]}")
    if not isinstance(found, dict):
        raise PluginError(f"CNI plugin {kind} answered {command} with {done.stdout[:60]!r}, which is no object")
    return found


def parsed(result: Json) -> Result:
    """A result of any version. PluginError for addresses that are none."""
    try:
        if "ip4" in result or "ip6" in result:      # before 0.3.0
            parts = [part for key in ("ip4", "ip6") if isinstance(part := result.get(key), dict)]
            rows = [{"address": part["ip"], "gateway": part.get("gateway")} for part in parts]
            ways = [way for part in parts for way in part.get("routes") or []]
            interfaces: list[Any] = []
        else:
            rows, ways = result.get("ips") or [], result.get("routes") or []
            interfaces = result.get("interfaces") or []
        inside = {number for number, row in enumerate(interfaces) if row.get("sandbox")}
        macs = [row.get("mac") or "" for row in interfaces if row.get("sandbox")]
        addresses = []
        for row in rows:
            if row.get("interface") is None or row["interface"] in inside:
                found = ipaddress.ip_interface(row["address"])
                gateway = str(ipaddress.ip_address(row["gateway"])) if row.get("gateway") else ""
                addresses.append((str(found.ip), found.network.prefixlen, gateway))
        routes = [(str(ipaddress.ip_network(way["dst"], strict=False)),
                   str(ipaddress.ip_address(way["gw"])) if way.get("gw") else "") for way in ways]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PluginError(f"the result of the CNI plugins is malformed: {error}") from error
    return Result(tuple(addresses), tuple(routes), str(macs[0]) if macs else "")
