"""The data plane of overlay networks on this host: a namespace a network, in it a bridge and a VXLAN link.

A namespace of its own keeps other programs' firewall rules for forwarded packets away from what never is forwarded by
this host, as Docker has it, too. The engine makes it when the first endpoint joins; the agent writes the tables. All
functions block, for a millisecond or two.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from solva.cluster import rows
from solva.cluster.state import Tables
from solva.kernel import links, netlink, netns, sysctl, vxlan
from solva.kernel.netlink import Netlink, NetlinkError, Request

BRIDGE, VXLAN = "br0", "vxlan0"
_BATCH = 200
_BUSY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Underlay:
    """How VXLAN packets of this host go: from which address, to which port, by which pinned namespace (None: the
    host's own)."""

    address: str
    port: int = vxlan.PORT
    namespace: Path | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """An open network: its namespace, a socket in there, the indices of its links."""

    descriptor: int
    netlink: Netlink
    bridge: int
    vxlan: int


def folder(run: Path) -> Path:
    return run / "overlay"


def networks(run: Path) -> list[str]:
    """Ids of the networks that this host takes part in."""
    try:
        return sorted(path.name for path in folder(run).iterdir() if netns.pinned(path))
    except FileNotFoundError:
        return []


def make(run: Path, network: str, vni: int, mtu: int, underlay: Underlay) -> None:
    """The namespace with what belongs in it; what is there and right is left. To be called in a thread of the
    host's network namespace: the outer packets are sent there."""
    path = folder(run) / network
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    host = _outside(underlay)
    try:
        if netns.pinned(path):
            _mend(path, vni, mtu, underlay, host)
            return
        descriptor = netns.create(lambda descriptor: _furnish(descriptor, vni, mtu, underlay, host))
        try:
            netns.pin(descriptor, path)
        finally:
            os.close(descriptor)
    finally:
        host.close()


def _outside(underlay: Underlay) -> Netlink:
    """A socket in the namespace that the outer packets go by."""
    if underlay.namespace is None:
        return Netlink()
    if not netns.pinned(underlay.namespace):
        raise OSError(19, "the WireGuard tunnel of this host is gone")
    descriptor = netns.open_pinned(underlay.namespace)
    try:
        return netns.run(descriptor, Netlink)
    finally:
        os.close(descriptor)


def _furnish(descriptor: int, vni: int, mtu: int, underlay: Underlay, host: Netlink) -> int:
    sysctl.write_if_there("bridge/bridge-nf-call-iptables", "0")      # there are no rules in here to ask
    sysctl.write_if_there("bridge/bridge-nf-call-ip6tables", "0")
    sysctl.write_if_there("ipv6/conf/default/disable_ipv6", "1")
    sysctl.write_if_there("ipv6/conf/default/addr_gen_mode", "1")      # no address of the kernel's own
    inside = Netlink()
    try:
        inside.execute([links.set_link(1, up=True), links.add_bridge(BRIDGE, mtu=mtu)])
        _add_vxlan(descriptor, inside, vni, mtu, underlay, host)
    finally:
        inside.close()
    return descriptor


def _add_vxlan(descriptor: int, inside: Netlink, vni: int, mtu: int, underlay: Underlay, host: Netlink) -> None:
    request = vxlan.add_vxlan(VXLAN, vni=vni, local=underlay.address, netns=descriptor, port=underlay.port, mtu=mtu)
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            host.execute([request])
            break
        except NetlinkError as error:
            # A namespace that somebody else let go of is not gone at once; there is nothing to wait on.
            if not netlink.already(error) or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_SECONDS / 20)
    bridge, link = links.get_link(inside, BRIDGE), links.get_link(inside, VXLAN)
    if bridge is None or link is None:
        raise OSError(19, f"{VXLAN} or {BRIDGE} is gone")
    # A link without IPv6 takes no neighbours of it.
    netns.run(descriptor, lambda: sysctl.write_if_there(f"ipv6/conf/{VXLAN}/disable_ipv6", "0"))
    # The alias tells what it was made for: another address of the host, and it has to be made anew.
    inside.execute([links.set_link(link.index, master=bridge.index, up=True, alias=_alias(vni, underlay))])


def _alias(vni: int, underlay: Underlay) -> str:
    return f"{vni} {underlay.address} {underlay.port}"


def _mend(path: Path, vni: int, mtu: int, underlay: Underlay, host: Netlink) -> None:
    descriptor = netns.open_pinned(path)
    try:
        inside = netns.run(descriptor, Netlink)
        try:
            if links.get_link(inside, BRIDGE) is None:
                inside.execute([links.add_bridge(BRIDGE, mtu=mtu)])
            link = links.get_link(inside, VXLAN)
            if link is not None and link.alias != _alias(vni, underlay):
                inside.execute([links.delete_link(VXLAN)])
                link = None
            if link is None:
                _add_vxlan(descriptor, inside, vni, mtu, underlay, host)
        finally:
            inside.close()
    finally:
        os.close(descriptor)


def remove(run: Path, network: str) -> None:
    """Let go of a network; the kernel takes the rest away behind. Fine when it is gone."""
    with open_wire(run, network) as wire:
        if wire is not None:      # its number is free at once: the network may be joined again before the rest is gone
            _delete_link(wire, VXLAN)
    netns.unpin(folder(run) / network)


@contextmanager
def open_wire(run: Path, network: str) -> Iterator[Wire | None]:
    """None when the network is not on this host, or not whole."""
    try:
        descriptor = netns.open_pinned(folder(run) / network)
    except FileNotFoundError:
        yield None
        return
    inside = None
    try:
        try:
            inside = netns.run(descriptor, Netlink)
        except OSError:
            yield None      # only the file is left
            return
        bridge, link = links.get_link(inside, BRIDGE), links.get_link(inside, VXLAN)
        yield Wire(descriptor, inside, bridge.index, link.index) if bridge and link else None
    finally:
        if inside is not None:
            inside.close()
        os.close(descriptor)


def tables(wire: Wire) -> Tables:
    """As the kernel has them."""
    return Tables(frozenset(vxlan.list_forwards(wire.netlink, wire.vxlan)),
                  frozenset(vxlan.list_neighbours(wire.netlink, wire.vxlan)))


def difference(index: int, have: Tables, want: Tables) -> list[Request]:
    """What makes ``have`` into ``want``. Pure. An entry that another takes the place of is not deleted first, so that
    an address which moves to another host is never without one."""
    macs = {entry.mac for entry in want.forwards if entry.mac != vxlan.EVERYBODY}
    addresses = {entry.address for entry in want.neighbours}
    requests = [vxlan.delete_forward(index, entry) for entry in sorted(have.forwards - want.forwards)
                if entry.mac not in macs]
    requests += [vxlan.delete_neighbour(index, entry.address) for entry in sorted(have.neighbours - want.neighbours)
                 if entry.address not in addresses]
    requests += [vxlan.add_forward(index, entry) for entry in sorted(want.forwards - have.forwards)]
    requests += [vxlan.add_neighbour(index, entry) for entry in sorted(want.neighbours - have.neighbours)]
    return requests


class Plain(OSError):
    """Packets of an encrypted network would have gone out in plain."""


def check_encrypted(wire: Wire, want: Tables) -> None:
    """Plain unless the link sends from a tunnel's address, and to such only; a link that does not is taken away."""
    local = vxlan.local_address(wire.netlink, wire.vxlan)
    if not local or not rows.is_tunnel(local):
        _delete_link(wire, VXLAN)
        raise Plain(1, f"the VXLAN link of an encrypted network sent from {local or 'no address'}, not through the "
                       "tunnel: it has been taken away")
    for entry in want.forwards:
        if not rows.is_tunnel(entry.host):
            raise Plain(1, f"packets of an encrypted network would have gone to {entry.host} in plain")


def reconcile(run: Path, network: str, want: Tables, *, encrypted: bool = False) -> int:
    """Make the kernel's tables of a network what they should be; how many entries were not. Plain: see
    ``check_encrypted``."""
    with open_wire(run, network) as wire:
        if wire is None:
            return 0
        if encrypted:
            check_encrypted(wire, want)
        requests = difference(wire.vxlan, tables(wire), want)
        for start in range(0, len(requests), _BATCH):
            try:
                wire.netlink.execute(requests[start:start + _BATCH])
            except NetlinkError as error:
                if not netlink.gone(error):      # somebody else has deleted it already
                    raise
        return len(requests)


def add_port(wire: Wire, name: str, *, inner: str, sandbox: int, mac: str, mtu: int) -> None:
    """A pair of links: one end a port of the bridge, the other in a sandbox's namespace, down."""
    wire.netlink.execute([links.add_veth(name, master=wire.bridge, peer=inner, peer_netns=sandbox, peer_mac=mac,
                                         mtu=mtu)])


def delete_port(run: Path, network: str, name: str) -> None:
    """Fine when it is gone."""
    with open_wire(run, network) as wire:
        if wire is not None:
            _delete_link(wire, name)


def _delete_link(wire: Wire, name: str) -> None:
    try:
        wire.netlink.execute([links.delete_link(name)])
    except NetlinkError as error:
        if not netlink.gone(error):
            raise


def block_port(run: Path, network: str, name: str) -> None:
    """Nothing passes any more; at once. Fine when it is gone."""
    with open_wire(run, network) as wire:
        if wire is not None:
            try:
                wire.netlink.execute([links.block_port(name)])
            except NetlinkError as error:
                if not netlink.gone(error):
                    raise


def ports(run: Path, network: str) -> list[str]:
    """Names of the ports of a network on this host."""
    with open_wire(run, network) as wire:
        if wire is None:
            return []
        return [link.name for link in links.list_links(wire.netlink) if link.kind == "veth"]
