"""Networks of a CNI configuration: ``-o conf=FILE``. The plugins make everything, addresses too.

The configuration is kept in the network's record, so that what was added can be deleted when the file has changed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from solva.errors import InvalidParameter, NotFound, SystemFailure
from solva.kernel import links, netlink
from solva.kernel.netlink import NetlinkError
from solva.networks import namespace
from solva.networks.drivers.base import DriverNetwork, Interface, Traits
from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.host import Host
from solva.networks.model import Endpoint, Network, PortMapping, PublishedPort, Sandbox
from solva.networks.namespace import Namespace
from solva.plugins import cni
from solva.plugins.cni import Attachment, Conflist, Runner
from solva.plugins.errors import PluginError

CONF, PATH = "conf", "path"
_TEXT, _BRIDGES = "conf", "bridges"      # in Network.driver_data
_RESULT, _RUNTIME = "result", "runtime"      # in Endpoint.data
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CniOptions:
    """``conf`` is None until the file has been read; ``bridges``: links that were not there before the network."""

    file: str
    directories: tuple[str, ...] = ()
    conf: Conflist | None = None
    bridges: tuple[str, ...] = ()


class CniDriver:
    """See ``NetworkDriver``."""

    name = "cni"
    traits = Traits(addresses=False, outside=True)

    def __init__(self, host: Host, runner: Runner) -> None:
        self._host = host
        self._runner = runner

    def parse(self, network: Network) -> DriverNetwork:
        for key in network.options:
            if key not in (CONF, PATH):
                raise InvalidParameter(f'unknown option "{key}": the cni driver has conf=FILE and path=DIRECTORY[:…]')
        file = network.options.get(CONF, "")
        if not file.startswith("/"):
            raise InvalidParameter("the cni driver needs -o conf=FILE, the absolute path of a CNI configuration list")
        directories = tuple(filter(None, network.options.get(PATH, "").split(":")))
        if not all(directory.startswith("/") for directory in directories):
            raise InvalidParameter(f"path={network.options[PATH]}: directories of CNI plugins must be absolute")
        if network.internal:
            raise InvalidParameter("--internal has no effect on a CNI network: its configuration says where it leads")
        text = network.driver_data.get(_TEXT)
        conf = None if text is None else cni.parse(text, file)
        bridges = tuple(filter(None, network.driver_data.get(_BRIDGES, "").split("/")))
        return DriverNetwork(network, CniOptions(file, directories, conf, bridges))

    def conflict(self, net: DriverNetwork, other: DriverNetwork) -> str:
        if not isinstance(other.options, CniOptions):
            return ""
        mine, theirs = net.options.conf, other.options.conf
        if mine is None or theirs is None or mine.name != theirs.name:
            return ""
        return f"CNI network {mine.name} of {net.options.file} is network {other.network.name} already"

    def links(self, net: DriverNetwork) -> Sequence[str]:
        return ()

    def rules(self, net: DriverNetwork) -> BridgeRules | None:
        return None

    # -- networks

    async def allocate_network(self, record: Network) -> Network:
        options: CniOptions = self.parse(record).options
        text = await asyncio.to_thread(_read, options.file)
        conf = cni.parse(text, options.file)
        await self._runner.verify(conf, options.directories)
        wanted = {str(plugin.get("bridge") or "cni0") for plugin in conf.plugins if plugin["type"] == "bridge"}
        there = await self._host.call(lambda: {link.name for link in links.list_links(self._host.netlink)})
        return replace(record, driver_data={_TEXT: text, _BRIDGES: "/".join(sorted(wanted - there))})

    async def free_network(self, record: Network) -> None:
        return

    async def create_network(self, net: DriverNetwork) -> None:
        return      # the first ADD does it

    async def delete_network(self, net: DriverNetwork) -> None:
        """CNI has no word for it; the bridge that its plugin has made goes when nobody is on it."""
        def body() -> list[str]:
            rows = links.list_links(self._host.netlink)
            used = {row.master for row in rows}
            return [row.name for row in rows if row.name in net.options.bridges and row.kind == "bridge"
                    and row.index not in used]

        unused = await self._host.call(body) if net.options.bridges else []
        if unused:
            await self._host.delete_links(unused)

    # -- endpoints

    async def join(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox, inside: Namespace) -> Interface:
        conf = _conf(net)
        if endpoint.data:      # its link was taken away: the plugins know it still
            for problem in await self._delete(net, endpoint, sandbox):
                _log.warning("network %s: %s", net.network.name, problem)
        if await self._host.call(lambda: links.get_link(inside.netlink, endpoint.ifname)) is not None:
            raise SystemFailure(f"interface {endpoint.ifname} is in the sandbox already")
        runtime = _runtime(conf, endpoint, sandbox, net.network.name)
        what = _attachment(endpoint, sandbox, runtime)
        raw = await self._runner.add(conf, net.options.directories, what)
        try:
            link = await self._host.call(lambda: links.get_link(inside.netlink, endpoint.ifname))
            if link is None:
                raise PluginError(f"the CNI plugins of network {net.network.name} made no interface {endpoint.ifname}")
            if endpoint.config.mac and link.mac != endpoint.config.mac.lower():
                raise PluginError(f"no CNI plugin of network {net.network.name} sets the MAC address: one with the "
                                  "capability mac is needed")
            await self._host.call(lambda: _leave_way_out(inside, link.index))
            outer = await self._host.call(lambda: self._outer(raw))
            data = {_RESULT: msgspec.json.encode(raw).decode(), _RUNTIME: msgspec.json.encode(runtime).decode()}
            return replace(_interface(cni.parsed(raw)), link=outer, mac=link.mac, configured=True, data=data)
        except BaseException:
            await asyncio.shield(self._runner.delete(conf, net.options.directories, what, raw))
            raise

    def _outer(self, raw: dict[str, Any]) -> str:
        """The outer end of a veth pair, which the kernel takes its time to remove when the sandbox goes first."""
        for row in raw.get("interfaces") or ():
            link = None if row.get("sandbox") else links.get_link(self._host.netlink, str(row.get("name") or "")[:15])
            if link is not None and link.kind == "veth":
                return link.name
        return ""

    async def leave(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None:
        problems = await self._delete(net, endpoint, sandbox)
        if problems:
            raise problems[0]

    async def _delete(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> list[Exception]:
        netns = sandbox.netns if sandbox.netns and os.path.exists(sandbox.netns) else ""
        what = replace(_attachment(endpoint, sandbox, _kept(endpoint, _RUNTIME)), netns=netns)
        problems = await self._runner.delete(_conf(net), net.options.directories, what,
                                             _kept(endpoint, _RESULT) or None)
        if problems and netns:      # a plugin that is gone or hangs does not keep the container on the network
            await self._host.call(lambda: _cut(netns, endpoint.ifname))
        return problems

    async def publish(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox,
                      ports: Sequence[PortMapping]) -> Sequence[PublishedPort]:
        """What portmap has published when the endpoint joined."""
        return [PublishedPort(row["containerPort"], row["protocol"], row["hostIP"] or anywhere, row["hostPort"])
                for row in _kept(endpoint, _RUNTIME).get("portMappings", ())
                for anywhere, address in (("0.0.0.0", endpoint.ipv4), ("::", endpoint.ipv6))
                if address and (not row["hostIP"] or (":" in row["hostIP"]) == (":" in address))]

    async def unpublish(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None:
        return      # DEL does it

    async def restore(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> bool:
        """Only a missing link makes it join again, for that changes its addresses; what else CHECK finds is told."""
        def there() -> bool:
            inside = namespace.open_at(sandbox.netns)
            try:
                return links.get_link(inside.netlink, endpoint.ifname) is not None
            finally:
                inside.close()

        if not await self._host.call(there):
            return False
        what = _attachment(endpoint, sandbox, _kept(endpoint, _RUNTIME))
        try:
            await self._runner.check(_conf(net), net.options.directories, what, _kept(endpoint, _RESULT))
        except (PluginError, NotFound) as error:
            # Not more than told: Debian's portmap, for one, misses chains of IPv6 where there is no IPv6.
            _log.info("sandbox %s on network %s: CHECK: %s", sandbox.id[:12], net.network.name, error)
        return True


def _read(file: str) -> str:
    try:
        with open(file, "rb") as source:
            return source.read(cni.MAX_FILE).decode()
    except OSError as error:
        raise InvalidParameter(f"{file}: {(error.strerror or str(error)).lower()} (it is read where the engine "
                               "runs)") from error
    except UnicodeDecodeError as error:
        raise InvalidParameter(f"{file}: no CNI configuration: {error}") from error


def _conf(net: DriverNetwork) -> Conflist:
    options: CniOptions = net.options
    if options.conf is None:
        raise SystemFailure(f"network {net.network.name} has no CNI configuration in its record")
    return options.conf


def _attachment(endpoint: Endpoint, sandbox: Sandbox, runtime: dict[str, Any]) -> Attachment:
    args = {"MAC": endpoint.config.mac} if endpoint.config.mac else {}
    return Attachment(sandbox.id, sandbox.netns, endpoint.ifname, args, runtime)


def _runtime(conf: Conflist, endpoint: Endpoint, sandbox: Sandbox, network: str) -> dict[str, Any]:
    """By capability. InvalidParameter for ports that no plugin would publish, or that are any free one."""
    found: dict[str, Any] = {}
    mac = endpoint.config.mac or (endpoint.mac if endpoint.data else "")      # data: it joins again, as it was
    if mac:
        found["mac"] = mac
    if endpoint.config.aliases:
        found["aliases"] = {conf.name: list(endpoint.config.aliases)}
    ports = sandbox.config.ports
    if ports and (sandbox.endpoints or len(sandbox.config.endpoints) > 1):
        _log.warning("sandbox %s: its ports are not published by CNI network %s, for it is on others, too",
                     sandbox.id[:12], network)
    elif ports:
        if not conf.can("portMappings"):
            raise InvalidParameter(f"ports cannot be published: no plugin of CNI network {network} has the capability "
                                   "portMappings (add portmap to the list)")
        if any(not port.host_port for port in ports):
            raise InvalidParameter(f"ports published on CNI network {network} need a fixed host port")
        found["portMappings"] = [{"hostPort": port.host_port, "containerPort": port.container_port,
                                  "protocol": port.proto, "hostIP": port.host_ip} for port in ports]
    return found


def _kept(endpoint: Endpoint, key: str) -> dict[str, Any]:
    text = endpoint.data.get(key, "")
    found: dict[str, Any] = msgspec.json.decode(text) if text else {}
    return found


def _interface(result: cni.Result) -> Interface:
    """Addresses, and the next hops of default routes."""
    found = Interface()
    for version in (4, 6):
        rows = [row for row in result.addresses if (":" in row[0]) == (version == 6)]
        ways = [way for target, way in result.routes if target == ("0.0.0.0/0" if version == 4 else "::/0")]
        ip, prefix, gateway = rows[0] if rows else ("", 0, "")
        hop = (ways[0] or gateway) if ways else ""
        found = replace(found, ipv4=ip, prefix4=prefix, gateway4=hop) if version == 4 else replace(
            found, ipv6=ip, prefix6=prefix, gateway6=hop)
    return found


def _leave_way_out(inside: Namespace, index: int) -> None:
    """Default routes of the plugins go: there may be others by now, and the engine sets the chosen one."""
    for version in (4, 6):
        try:
            inside.netlink.execute([links.delete_route("default", index=index, version=version)])
        except NetlinkError as error:
            if not netlink.gone(error) and error.errno != errno.EAFNOSUPPORT:
                raise


def _cut(path: str, ifname: str) -> None:
    try:
        inside = namespace.open_at(path)
    except OSError:
        return
    try:
        link = links.get_link(inside.netlink, ifname)
        if link is not None and link.kind:
            inside.netlink.execute([links.delete_link(ifname)])
    except NetlinkError as error:
        _log.warning("removing %s: %s", ifname, error)
    finally:
        inside.close()
