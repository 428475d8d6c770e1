"""Facts for a reachability question: from the engine's records, the kernel, and the first end's own resolver."""

from __future__ import annotations

import asyncio
import difflib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace

from solva.containers.model import Container, Registry
from solva.containers.networking import mode_of
from solva.errors import InvalidParameter, NotFound
from solva.explain import resolve, sockets
from solva.explain.facts import Listener, Machine, Party, Place, Published, Question, loopback, unspecified
from solva.kernel import links, sysctl
from solva.kernel.netlink import Netlink
from solva.kernel.nft import Nft
from solva.networks.firewall.foreign import Obstacle
from solva.networks.firewall.matching import Packet
from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.model import Endpoint, Sandbox
from solva.networks.service import NetworkService

_ID_DIGITS = 6
_WORDS = ("lan", "internet", "host")


@dataclass(frozen=True, slots=True)
class Kernel:
    """The host's links, addresses and routes at one moment."""

    links: dict[str, links.Link]
    addresses: dict[int, list[str]]
    default_index: int
    default4: bool
    default6: bool

    @property
    def uplink(self) -> str:
        return next((link.name for link in self.links.values() if link.index == self.default_index), "")

    def of(self, name: str) -> tuple[str, ...]:
        link = self.links.get(name)
        return tuple(self.addresses.get(link.index, ())) if link else ()

    def every(self) -> tuple[str, ...]:
        return tuple(address for rows in self.addresses.values() for address in rows)


class Collector:
    """Reads; changes nothing."""

    def __init__(self, containers: Registry, networks: NetworkService) -> None:
        self._containers = containers
        self._networks = networks

    async def question(self, source: str, target: str) -> tuple[Question, Machine]:
        """``target`` may end in ``:PORT`` or ``:PORT/PROTO``. NotFound for a source that is nothing known."""
        name, port, proto = split(target)
        kernel = await asyncio.to_thread(read_kernel)
        here = await self._party(source, kernel, None, port)
        if here.kind == "unknown":
            hint = f" (did you mean {' or '.join(here.near)}?)" if here.near else ""
            raise NotFound(f"No such container: {source}{hint}; besides containers an end may be host, lan, internet "
                           "or an address")
        asker = self._networks.sandbox(self.owner(here.name)) if here.kind == "container" else None
        there = await self._party(name, kernel, asker, port)
        machine = await self.machine(kernel, port)
        return Question(here, there, port, proto), machine

    # -- an end

    async def _party(self, word: str, kernel: Kernel, asker: Sandbox | None, port: int) -> Party:
        if word in _WORDS:
            return Party(word, word, {"host": "this host", "lan": "the LAN", "internet": "the internet"}[word])  # type: ignore[arg-type]
        try:
            address = str(ipaddress.ip_address(word.strip("[]")))
        except ValueError:
            return await self._named(word, kernel, asker)
        return await self._at(address, word, kernel, ())

    async def _at(self, address: str, word: str, kernel: Kernel, resolved: tuple[str, ...]) -> Party:
        """Whoever has an address."""
        for container in self._containers.all():
            sandbox = self._networks.sandbox(container.id)
            if sandbox and any(address in (e.ipv4, e.ipv6) for e in sandbox.endpoints):
                party = await self.container(container, kernel)
                return replace(party, asked=word, address=address, resolved=resolved or None)
        kind = "host" if address in kernel.every() and not loopback(address) else "address"
        return Party("host" if kind == "host" else "address", word, f"this host ({address})" if kind == "host" else "",
                     address, resolved=resolved or None)

    async def _named(self, word: str, kernel: Kernel, asker: Sandbox | None) -> Party:
        resolved: tuple[str, ...] | None = None
        if asker is not None and asker.netns:
            resolved = await asyncio.to_thread(resolve.ask, asker.netns, asker.hosts_path, asker.resolv_conf_path,
                                               word)
        container = self._container(word)
        if container is not None:
            return replace(await self.container(container, kernel), asked=word, resolved=resolved)
        for address in resolved or ():
            party = await self._at(address, word, kernel, resolved or ())
            return replace(party, address=address) if party.kind != "container" else replace(party, address="")
        names = [each.name for each in self._containers.all()]
        aliases = [name for sandbox in self._networks.live() for e in sandbox.endpoints for name in e.dns_names]
        likeness = 0.5 if len(word) < 4 else 0.6      # two letters in the wrong order are half a short word
        near = difflib.get_close_matches(word, [*dict.fromkeys((*names, *aliases, *_WORDS))], 2, likeness)
        return Party("unknown", word, near=tuple(near), resolved=resolved)

    def _container(self, word: str) -> Container | None:
        """By name, or by an id of which enough is given that it is no name mistyped."""
        try:
            found = self._containers.get(word)
        except (NotFound, InvalidParameter):
            return None
        return found if found.name == word.removeprefix("/") or len(word) >= _ID_DIGITS else None

    def owner(self, name: str) -> str:
        """Id of the container whose network namespace a container is in: itself, or the one it joined."""
        container = self._containers.get(name)
        mode = mode_of(container)
        if mode.startswith("container:"):
            try:
                return self._containers.get(mode.partition(":")[2]).id
            except NotFound:
                pass
        return container.id

    async def container(self, container: Container, kernel: Kernel) -> Party:
        """Everything about a container."""
        owner = self._containers.maybe(self.owner(container.id)) or container
        mode = mode_of(owner)
        sandbox = self._networks.sandbox(owner.id)
        alive = container.state.alive
        listening: tuple[Listener, ...] = ()
        if alive and sandbox is not None:
            listening = await asyncio.to_thread(sockets.listeners, sandbox.netns)
        return Party(
            "container", container.name, container.name, state=container.state.status,
            exit_code=container.state.exit_code, mode=mode if mode in ("host", "none") else "bridge",
            shares=owner.name if owner is not container else "",
            places=self._places(container, sandbox, kernel), listeners=listening,
            published=published(container.name, sandbox) if sandbox else ())

    def _places(self, container: Container, sandbox: Sandbox | None, kernel: Kernel) -> tuple[Place, ...]:
        if sandbox is None:
            found = []
            for name in container.endpoints:
                try:
                    record = self._networks.get(name)
                except NotFound:
                    continue
                found.append(Place(record.name, record.driver, named=self._networks.named(record.id)))
            return tuple(found)
        ways = {e.id for version in (4, 6) if (e := self._networks.way_out(sandbox, version)) is not None}
        return tuple(self._place(e, e.id in ways, kernel) for e in sandbox.endpoints
                     if sandbox.config.mode == "bridge")

    def _place(self, endpoint: Endpoint, gateway: bool, kernel: Kernel) -> Place:
        try:
            record = self._networks.get(endpoint.network_id)
        except NotFound:
            return Place(endpoint.network_name, "?", endpoint.ifname, endpoint.ipv4, endpoint.ipv6)
        rules: BridgeRules | None = self._networks.rules(record.id)
        bridge = kernel.links.get(rules.interface) if rules else None
        outer = kernel.links.get(endpoint.link) if endpoint.link else None
        mode = next((record.options[key] for key in ("macvlan_mode", "ipvlan_mode") if key in record.options), "")
        return Place(
            record.name, record.driver, endpoint.ifname, endpoint.ipv4, endpoint.ipv6,
            bridge=rules.interface if rules else "", bridge_up=bridge is not None and bridge.up,
            attached=bridge is None or (outer is not None and outer.master == bridge.index and outer.up),
            gateway=gateway, named=self._networks.named(record.id), internal=record.internal, rules=rules,
            host_addresses=_reachable_host(kernel.of(rules.interface)) if rules else (), mode=mode,
            subnets=tuple(pool.subnet for pool in record.pools),
            host_access=record.options.get("solva.host_access", "").lower() in ("true", "1"),
            linked=tuple((link.address, link.proto, link.port) for link in self._networks.links()
                         if link.source in (endpoint.ipv4, endpoint.ipv6)))

    # -- the machine

    async def machine(self, kernel: Kernel, port: int) -> Machine:
        """``port``: of this host, whose holders are wanted; 0 for none."""
        every: list[Published] = []
        holders: dict[str, Party] = {}
        for container in self._containers.all():
            sandbox = self._networks.sandbox(container.id)
            rows = published(container.name, sandbox) if sandbox else ()
            every += rows
            if any(port and row.host_port == port for row in rows):
                holders[container.name] = await self.container(container, kernel)
        addresses = kernel.of(kernel.uplink)
        four = [address for address in addresses if ":" not in address]
        judge = await self._networks.watch.judge()
        return Machine(
            addresses=kernel.every(), uplink=kernel.uplink, uplink_address=(four or [""])[0],
            uplink6=next((each for each in addresses if ":" in each and not each.startswith("fe80:")), ""),
            default_route=kernel.default4, default_route6=kernel.default6,
            forwarding=sysctl.read("ipv4/ip_forward") == "1",
            forwarding6=sysctl.read("ipv6/conf/all/forwarding") == "1",
            bridged=sysctl.read("bridge/bridge-nf-call-iptables") == "1",
            table=await asyncio.to_thread(_table_there, self._networks.table), published=tuple(every),
            listeners=await asyncio.to_thread(sockets.listeners, ""), holders=holders,
            stop=judge or _nobody)


def _nobody(_: Packet) -> Obstacle | None:
    """There are no other rules."""
    return None


def split(target: str) -> tuple[str, int, str]:
    """``B[:PORT[/PROTO]]`` -> name, port (0 for none), protocol; an IPv6 address with a port stands in brackets."""
    name, proto = target, "tcp"
    if "/" in target:
        name, _, proto = target.rpartition("/")
    if proto not in ("tcp", "udp"):
        raise InvalidParameter(f"invalid protocol {proto!r}: it is tcp or udp")
    host, colon, port = name.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return name, 0, proto
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise InvalidParameter(f"invalid port {port!r} in {target!r}: the form is NAME[:PORT[/tcp|udp]]")
    return host.strip("[]"), int(port), proto


def published(name: str, sandbox: Sandbox) -> tuple[Published, ...]:
    """What a live sandbox publishes, with the address each port leads to."""
    found = []
    for port in sandbox.ports:
        version = ipaddress.ip_address(port.host_ip).version
        address = next((e.ipv4 if version == 4 else e.ipv6 for e in sandbox.endpoints
                        if (e.gateway4 if version == 4 else e.gateway6)), "")
        if not address:      # IPv6 of the host to a container without: carried to its IPv4 address
            address = next((e.ipv4 for e in sandbox.endpoints if e.gateway4), "")
        found.append(Published(port.proto, port.host_ip, port.host_port, port.container_port, name, address))
    return tuple(found)


def read_kernel() -> Kernel:
    """In the calling thread's network namespace. Blocks for a millisecond."""
    socket = Netlink()
    try:
        every = {link.name: link for link in links.list_links(socket)}
        addresses: dict[int, list[str]] = {}
        for row in links.list_addresses(socket):
            addresses.setdefault(row.index, []).append(row.address)
        defaults = {destination: index for destination, index in reversed(links.list_routes(socket))
                    if destination in ("0.0.0.0/0", "::/0")}
        index = defaults.get("0.0.0.0/0") or defaults.get("::/0", 0)
        return Kernel(every, addresses, index, "0.0.0.0/0" in defaults, "::/0" in defaults)
    finally:
        socket.close()


def _reachable_host(addresses: Sequence[str]) -> tuple[str, ...]:
    """The host's own addresses on a bridge; on an internal network too it is reached at its gateway address."""
    return tuple(each for each in addresses if not unspecified(each) and not each.startswith("fe80:"))


def _table_there(name: str) -> bool:
    nft = Nft()
    try:
        return f"table inet {name}" in nft.run("list tables inet").splitlines()
    except OSError:
        return False
    finally:
        nft.close()


