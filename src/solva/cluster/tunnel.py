"""The tunnel of a host: the WireGuard link that the packets of encrypted networks go through, one for all of them.

It is in a network namespace of its own, with nothing else in it, and the VXLAN links of encrypted networks send by
that namespace. So whatever goes wrong (a link deleted, a peer unknown, the agent dead), their packets have no way to
the wire but through WireGuard; and nobody can put plain packets into such a network from outside.

    host's namespace          tunnel (run/cluster/tunnel)          network's namespace
    eth0  ◄── UDP, encrypted ── solva-… fd5a:… ◄──── VXLAN ──────── vxlan0 ── br0 ── containers

Each host has one address in there, derived from its id, so that no key can take another host's. All functions block.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path

from solva.cluster import files, rows
from solva.cluster.files import Config
from solva.kernel import links, netlink, netns, sysctl, wireguard
from solva.kernel.netlink import Netlink, NetlinkError
from solva.kernel.wireguard import Device, Peer

_SMALLEST = 1280      # IPv6 takes no link with less


def path(run: Path) -> Path:
    return files.folder(run) / "tunnel"


def link_name(host: str) -> str:
    """The same on no other engine of the machine."""
    return f"solva-{host[:8]}"


def overhead(address: str) -> int:
    """What WireGuard takes of the MTU of an underlay that an address belongs to."""
    return wireguard.OVERHEAD4 if ipaddress.ip_address(address).version == 4 else wireguard.OVERHEAD6


class Tunnel:
    """One an agent. To be called in a thread of the host's network namespace, from one thread at a time."""

    def __init__(self, run: Path, config: Config) -> None:
        self._run = run
        self._config = config
        self._told: dict[str, str] = {}      # endpoints that the link has been given, by key

    def reconcile(self, wanted: bool, peers: Iterable[Peer]) -> int:
        """The link is there with these peers, or is not there; how much was otherwise. OSError says why it cannot be
        had."""
        if not wanted:
            return self.remove()
        changed = self.up()
        name = link_name(self._config.host)
        want = list(peers)
        descriptor = netns.open_pinned(path(self._run))
        try:
            arguments = wireguard.difference(netns.run(descriptor, lambda: wireguard.show(name)), want, self._told)
            if arguments:
                netns.run(descriptor, lambda: wireguard.configure(name, arguments))
        finally:
            os.close(descriptor)
        self._told = {peer.key: peer.endpoint for peer in want}
        return changed + arguments.count("peer")

    def up(self) -> int:
        """The link is there, with its key and its address; peers come with ``reconcile``."""
        config = self._config
        if config.tunnel is None:
            raise OSError(95, f"this host has no WireGuard: {config.no_tunnel}")
        mtu = (config.mtu or 1500) - overhead(config.address)
        if mtu < _SMALLEST:
            least = _SMALLEST + overhead(config.address)
            raise OSError(22, f"encrypted networks need an underlay with an MTU of {least}, and that of this host's "
                              f"link with {config.address} is {config.mtu}")
        if not netns.pinned(path(self._run)):
            descriptor = netns.create(_furnish)
            try:
                path(self._run).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                netns.pin(descriptor, path(self._run))
            finally:
                os.close(descriptor)
        descriptor = netns.open_pinned(path(self._run))
        try:
            return self._link(descriptor, config.tunnel, mtu)
        finally:
            os.close(descriptor)

    def _link(self, descriptor: int, how: files.Tunnel, mtu: int) -> int:
        name = link_name(self._config.host)
        address = rows.tunnel_address(self._config.host)
        inside = netns.run(descriptor, Netlink)
        changed = 0
        try:
            link = links.get_link(inside, name)
            if link is None:
                changed += 1
                wireguard.make(how.program, name, descriptor, mtu)
                link = links.get_link(inside, name)
                if link is None:
                    raise OSError(19, f"link {name} is gone")
            device = netns.run(descriptor, lambda: wireguard.show(name))
            if (device.key, device.port) != (how.key, how.port):
                changed += 1
                netns.run(descriptor, lambda: wireguard.configure(
                    name, ["private-key", how.key_file, "listen-port", str(how.port)]))
            if link.mtu != mtu or not link.up:
                inside.execute([links.set_link(link.index, mtu=mtu, up=True)])
            if not any(row.address == address and row.index == link.index for row in links.list_addresses(inside)):
                inside.execute([links.add_address(link.index, address, rows.TUNNELS.prefixlen)])
        finally:
            inside.close()
        return changed

    def device(self) -> Device | None:
        """What the link has; None while there is none."""
        try:
            descriptor = netns.open_pinned(path(self._run))
        except FileNotFoundError:
            return None
        try:
            return netns.run(descriptor, lambda: wireguard.show(link_name(self._config.host)))
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def remove(self) -> int:
        """Nothing of it is left; a program that serves it ends with its link."""
        if not netns.pinned(path(self._run)):
            return 0
        self._told = {}
        descriptor = netns.open_pinned(path(self._run))
        try:
            inside = netns.run(descriptor, Netlink)
            try:
                inside.execute([links.delete_link(link_name(self._config.host))])
            except NetlinkError as error:
                if not netlink.gone(error):
                    raise
            finally:
                inside.close()
        finally:
            os.close(descriptor)
        netns.unpin(path(self._run))
        return 1


def _furnish(descriptor: int) -> int:
    sysctl.write_if_there("ipv6/conf/all/disable_ipv6", "0")
    sysctl.write_if_there("ipv6/conf/default/disable_ipv6", "0")
    sysctl.write_if_there("ipv6/conf/default/addr_gen_mode", "1")      # no address of the kernel's own
    sysctl.write_if_there("ipv6/conf/default/accept_ra", "0")
    inside = Netlink()
    try:
        inside.execute([links.set_link(1, up=True)])
    finally:
        inside.close()
    return descriptor
