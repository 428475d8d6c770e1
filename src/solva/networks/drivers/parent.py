"""What macvlan and ipvlan share: the host's interface below their networks, found or made."""

from __future__ import annotations

import errno

from solva.errors import InvalidParameter, SystemFailure
from solva.kernel import links
from solva.kernel.netlink import NetlinkError
from solva.networks.host import Host
from solva.networks.model import Network

PARENT = "parent"
_HIGHEST_VLAN = 4094


def own_name(prefix: str, network: Network) -> str:
    """Of a parent that is made for a network without one, Docker's names: ``dm-`` and ``di-`` with the id's begin."""
    return f"{prefix}-{network.id[:12]}"


def far_end(name: str) -> str:
    """The other end, where the parent had to be a veth pair."""
    return f"{name[:2]}p{name[3:]}"


class Parents:
    """Parents of the networks of one driver, each with the networks on it: a VLAN interface made for the first of them
    is removed with the last. Told again by ``create_network`` when an engine starts."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._users: dict[str, set[str]] = {}

    async def hold(self, network: Network, name: str, *, own: bool) -> None:
        """The parent is there, up, and known to be used. ``own``: made for this network alone."""
        await self._host.call(lambda: self._own(name) if own else self._ensure(name))
        self._users.setdefault(name, set()).add(network.id)

    async def release(self, network: Network, name: str, *, own: bool) -> None:
        """Fine when it is not held."""
        users = self._users.get(name, set())
        users.discard(network.id)
        if users:
            return
        self._users.pop(name, None)
        link = await self._host.call(lambda: links.get_link(self._host.netlink, name))
        if link is not None and link.alias == self._host.alias and (own or link.kind == "vlan"):
            await self._host.delete_links([name])

    def index(self, name: str) -> int:
        """SystemFailure when it is gone. Blocks: in the host's thread."""
        link = links.get_link(self._host.netlink, name)
        if link is None:
            raise SystemFailure(f"parent interface {name} is gone")
        return link.index

    def _ensure(self, name: str) -> None:
        if name == "lo":
            raise InvalidParameter("loopback interface is not a valid macvlan parent link")
        if links.get_link(self._host.netlink, name) is not None:
            return
        base, dot, vlan = name.partition(".")
        if not dot:
            raise InvalidParameter(f"invalid subinterface vlan name {name}, example formatting is eth0.10")
        if not vlan.isdigit():
            raise InvalidParameter(f"unable to parse a valid vlan id from: {vlan} (ex. eth0.10 for vlan 10)")
        if not 0 < int(vlan) <= _HIGHEST_VLAN:
            raise InvalidParameter(f"vlan id must be between 1-4094, received: {vlan}")
        below = links.get_link(self._host.netlink, base)
        if below is None:
            raise InvalidParameter(f"-o parent interface was not found on the host: {base}")
        try:
            self._host.netlink.execute([links.add_child("vlan", name, parent=below.index,
                                                        data=links.vlan_data(int(vlan)))])
        except NetlinkError as error:
            if error.errno == errno.EOPNOTSUPP:
                raise SystemFailure(f"failed to create {name} vlan link: operation not supported: this kernel has no "
                                    "802.1q VLANs (CONFIG_VLAN_8021Q, module 8021q)") from error
            raise
        self._finish(name)

    def _own(self, name: str) -> None:
        """A dummy; where the kernel has none, an end of a veth pair that leads nowhere."""
        kernel = self._host.netlink
        if links.get_link(kernel, name) is not None:
            return
        try:
            kernel.execute([links.add_dummy(name)])
        except NetlinkError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            kernel.execute([links.add_pair(name, far_end(name))])
            self._finish(far_end(name))
        self._finish(name)

    def _finish(self, name: str) -> None:
        link = links.get_link(self._host.netlink, name)
        if link is not None:
            self._host.netlink.execute([links.set_link(link.index, up=True, alias=self._host.alias)])


def links_of(name: str, *, own: bool) -> tuple[str, ...]:
    """What may be ours of a parent: ``NetworkDriver.links``."""
    if own:
        return (name, far_end(name))
    return (name,) if "." in name else ()

