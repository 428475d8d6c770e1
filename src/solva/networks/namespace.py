"""The inside of a sandbox: its network namespace, ready-made ones kept in stock, addresses and routes put into it."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from solva.dns import paths
from solva.errors import InvalidParameter, SystemFailure
from solva.kernel import links, netlink, netns, sysctl
from solva.kernel.netlink import Netlink, NetlinkError
from solva.kernel.nft import Nft
from solva.networks import gateway
from solva.networks.model import Endpoint

STOCK = 3
# A query to 127.0.0.11:53 reaches the name server's port; the answer is translated back by connection tracking.
NAME_RULES = f"""\
table ip solva {{
\tchain names {{
\t\ttype nat hook output priority -100; policy accept;
\t\tip daddr {paths.ADDRESS} udp dport 53 dnat to {paths.ADDRESS}:{paths.PORT}
\t\tip daddr {paths.ADDRESS} tcp dport 53 dnat to {paths.ADDRESS}:{paths.PORT}
\t}}
}}
"""
SYSCTLS_OPTION = "com.docker.network.endpoint.sysctls"


@dataclass(slots=True)
class Namespace:
    """An open network namespace with a netlink socket inside. ``nft`` is only there to be closed off the fast path."""

    descriptor: int
    netlink: Netlink
    nft: Nft | None = None

    def close(self) -> None:
        """Lets go of it; it lives on where it is pinned or a process is in it. May take the kernel 15 ms. Fine when it
        is closed already: its number may be another's by now."""
        if self.descriptor < 0:
            return
        self.netlink.close()
        os.close(self.descriptor)
        self.descriptor = -1
        if self.nft is not None:
            self.nft.close()
            self.nft = None


def make() -> Namespace:
    """A new namespace: loopback up, the name server's redirection in place. Blocks for some 2 ms."""

    def prepare(descriptor: int) -> Namespace:
        inside = Netlink()
        inside.execute([links.set_link(1, up=True)])
        nft = Nft()
        nft.run(NAME_RULES)
        return Namespace(descriptor, inside, nft)

    return netns.create(prepare)


def open_at(path: str | Path) -> Namespace:
    """The namespace kept at a path."""
    descriptor = netns.open_pinned(path)
    try:
        return Namespace(descriptor, netns.run(descriptor, Netlink))
    except BaseException:
        os.close(descriptor)
        raise


def endpoint_sysctls(driver_opts: Mapping[str, str], ifname: str) -> list[tuple[str, str]]:
    """``net.ipv4.conf.IFNAME.log_martians=1,…`` as paths and values; InvalidParameter for anything else."""
    found = []
    for part in filter(None, driver_opts.get(SYSCTLS_OPTION, "").split(",")):
        name, separator, value = part.strip().partition("=")
        words = name.split(".")
        if not separator or len(words) != 5 or words[0] != "net" or words[3] != "IFNAME" or words[1] not in (
                "ipv4", "ipv6", "mpls"):
            raise InvalidParameter(f"unrecognised network interface sysctl {part!r}; represent 'net.X.Y.ethN.Z=V' as "
                                   "'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'")
        found.append((f"{words[1]}/{words[2]}/{ifname}/{words[4]}", value))
    return found


def configure(inside: Namespace, endpoint: Endpoint) -> None:
    """Addresses of an endpoint on its interface, which comes up. Blocks for a millisecond or two."""
    extra = endpoint_sysctls(endpoint.config.driver_opts, endpoint.ifname)

    def parameters() -> None:
        base = f"conf/{endpoint.ifname}"
        sysctl.write_if_there(f"ipv6/{base}/disable_ipv6", "0" if endpoint.ipv6 else "1")
        sysctl.write(f"ipv4/{base}/arp_notify", "1")      # neighbours learn at once who has the address now
        if endpoint.ipv6:
            sysctl.write_if_there(f"ipv6/{base}/accept_ra", "0")
            sysctl.write_if_there(f"ipv6/{base}/ndisc_notify", "1")
        for name, value in extra:
            try:
                sysctl.write(name, value)
            except FileNotFoundError as error:
                raise SystemFailure(f"failed to add interface {endpoint.ifname} to sandbox: /proc/sys/net/{name} is "
                                    "not a sysctl file") from error

    netns.run(inside.descriptor, parameters)
    link = links.get_link(inside.netlink, endpoint.ifname)
    if link is None:
        raise OSError(19, f"interface {endpoint.ifname} is not in its sandbox")
    requests = []
    if endpoint.ipv4:
        requests.append(links.add_address(link.index, endpoint.ipv4, endpoint.prefix4))
    if endpoint.ipv6:
        requests.append(links.add_address(link.index, endpoint.ipv6, endpoint.prefix6))
    for address in endpoint.config.link_local_ips:
        requests.append(links.add_address(link.index, address, 16 if ":" not in address else 64))
    requests.append(links.set_link(link.index, up=True))
    inside.netlink.execute(requests)
    if endpoint.routes:
        inside.netlink.execute([links.add_route(route.destination, index=link.index, gateway=route.gateway)
                                for route in endpoint.routes])


def remove_link(path: str, name: str, kinds: Sequence[str]) -> None:
    """Delete a link inside the namespace kept at ``path``; fine when link or namespace are gone. Links of other kinds
    are somebody else's."""
    try:
        inside = open_at(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL):
            return
        raise
    try:
        link = links.get_link(inside.netlink, name)
        if link is not None and link.kind in kinds:
            inside.netlink.execute([links.delete_link(name)])
    except NetlinkError as error:
        if not netlink.gone(error):
            raise
    finally:
        inside.close()


def kind_of(path: str, name: str) -> str:
    """The kind of a link inside the namespace kept at ``path``, "" where there is none."""
    try:
        inside = open_at(path)
    except OSError:
        return ""
    try:
        link = links.get_link(inside.netlink, name)
        return link.kind if link else ""
    finally:
        inside.close()


def only(inside: Namespace, names: Sequence[str]) -> None:
    """Remove links that are none of these: of an endpoint that an engine did not live to finish."""
    for link in links.list_links(inside.netlink):
        if link.kind and link.name not in names:
            inside.netlink.execute([links.delete_link(link.name)])


def route(inside: Namespace, endpoints: Sequence[Endpoint]) -> None:
    """The default routes through the endpoints chosen for them; none where there is no way out."""
    for version in (4, 6):
        chosen = gateway.choose(endpoints, version)
        link = links.get_link(inside.netlink, chosen.ifname) if chosen else None
        if chosen is None or link is None:
            try:
                inside.netlink.execute([links.delete_route("default", version=version)])
            except NetlinkError as error:
                if not netlink.gone(error) and error.errno != 97:      # EAFNOSUPPORT: no IPv6 in this kernel
                    raise
            continue
        via = chosen.gateway4 if version == 4 else chosen.gateway6
        inside.netlink.execute([links.add_route("default", index=link.index, gateway=via, version=version)])
