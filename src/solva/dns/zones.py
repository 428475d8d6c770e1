"""Who is called what, and who may ask: pure look-up, no I/O.

Names belong to a network; a sandbox sees those of the networks it is on. The rules are libnetwork's, seen from outside:
the whole name first, then the name split at every dot into a name and a network (a.b.c: a.b in network c, a in network
b.c); the asker's own links before the names of others.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_pton

TYPE_CHECKING = False  # typing is not imported for nothing: 7 ms, half a megabyte
if TYPE_CHECKING:
    from typing import Any

_TASKS = b"tasks."


class Member:
    """One endpoint as the others see it; an address it does not have is empty."""

    __slots__ = ("names", "v4", "v6")

    def __init__(self, names: list[bytes], v4: bytes, v6: bytes) -> None:
        self.names = names
        self.v4 = v4
        self.v6 = v6


class Network:
    """The names of one network, in the order they came."""

    __slots__ = ("addresses", "members", "name", "names")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.names: dict[bytes, list[Member]] = {}
        self.addresses: dict[bytes, tuple[Member, bytes]] = {}
        self.members = 0

    def add(self, member: Member, written: bytes) -> None:
        """``written``: the member's first name as its owner wrote it, for the way back from an address."""
        self.members += 1
        for name in member.names:
            self.names.setdefault(name, []).append(member)
        if written:
            for address in (member.v4, member.v6):
                if address:
                    self.addresses[address] = member, written + b"." + self.name

    def discard(self, member: Member) -> None:
        self.members -= 1
        for name in member.names:
            others = self.names[name]
            others.remove(member)
            if not others:
                del self.names[name]
        for address in (member.v4, member.v6):
            # The address may be another's by now: addresses are given again faster than names are taken back.
            if self.addresses.get(address, (None,))[0] is member:
                del self.addresses[address]


class Server:
    """A resolver of the outside and where it is dialled from."""

    __slots__ = ("address", "from_host", "port")

    def __init__(self, address: str, port: int, from_host: bool) -> None:
        self.address = address
        self.port = port
        self.from_host = from_host

    def __str__(self) -> str:
        return f"{'host:' if self.from_host else ''}{self.address}:{self.port}"


class Sandbox:
    """One asker. ``places``: its networks in order, its own entry there and its private aliases."""

    __slots__ = ("external", "id", "name", "ndots_set", "netns", "places", "servers")

    def __init__(self, sandbox_id: str, netns: str, name: str) -> None:
        self.id = sandbox_id
        self.netns = netns
        self.name = name
        self.places: list[tuple[str, Network, Member, dict[bytes, bytes]]] = []
        self.servers: list[Server] = []
        self.external = True
        self.ndots_set = False

    def outside(self) -> tuple[str, bool, list[str]]:
        """Where its questions for the outside go."""
        return self.netns, self.external, [str(server) for server in self.servers]


class Zones:
    """All networks and sandboxes. A change is whole: a state that makes no sense raises ValueError, changes nothing."""

    def __init__(self) -> None:
        self.sandboxes: dict[str, Sandbox] = {}
        self._networks: dict[str, Network] = {}

    def put(self, state: dict[str, Any]) -> Sandbox:
        """Take the sandbox in as its file (``state.SandboxNames``) says, in place of what was known of it."""
        try:
            sandbox, joins = _parse(state)
        except (KeyError, TypeError, AttributeError, OSError) as error:
            raise ValueError(f"not a sandbox's names: {error}") from error
        self.remove(sandbox.id)
        for network_id, network_name, member, written, links in joins:
            network = self._networks.get(network_id)
            if network is None:
                network = self._networks[network_id] = Network(network_name)
            network.add(member, written)
            sandbox.places.append((network_id, network, member, links))
        self.sandboxes[sandbox.id] = sandbox
        return sandbox

    def remove(self, sandbox_id: str) -> None:
        """Forget the sandbox and its names."""
        sandbox = self.sandboxes.pop(sandbox_id, None)
        if sandbox is None:
            return
        for network_id, network, member, _ in sandbox.places:
            network.discard(member)
            if not network.members:
                self._networks.pop(network_id, None)


def _parse(state: dict[str, Any]) -> tuple[Sandbox, list[tuple[str, bytes, Member, bytes, dict[bytes, bytes]]]]:
    sandbox = Sandbox(state["id"], state["netns"], state.get("name") or state["id"][:12])
    sandbox.external = state.get("external", True)
    sandbox.ndots_set = state.get("ndots_set", False)
    for item in state.get("upstreams", []):
        family = AF_INET6 if ":" in item["address"] else AF_INET
        inet_pton(family, item["address"].partition("%")[0])
        sandbox.servers.append(Server(item["address"], item.get("port", 53), item.get("from_host", False)))
    joins = []
    for item in state.get("endpoints", []):
        names = item.get("names", [])
        v4 = inet_pton(AF_INET, item["ipv4"]) if item.get("ipv4") else b""
        v6 = inet_pton(AF_INET6, item["ipv6"]) if item.get("ipv6") else b""
        member = Member(list(dict.fromkeys(_key(name) for name in names)), v4, v6)
        links = {_key(alias): _key(name) for alias, name in item.get("links", {}).items()}
        written = names[0].encode() if names else b""
        joins.append((item["network_id"], _key(item["network_name"]), member, written, links))
    return sandbox, joins


def _key(name: str) -> bytes:
    return name.rstrip(".").lower().encode()


def lookup(sandbox: Sandbox, name: bytes, *, v6: bool) -> list[bytes] | None:
    """The addresses ``sandbox`` sees behind ``name`` (lower case, no trailing dot): empty when the name is known and
    has none of this family, None when it is not known. ``tasks.web`` is every endpoint that is called ``web``: what a
    swarm's service answers with its tasks."""
    found = _lookup(sandbox, name, v6=v6)
    if found is None and name.startswith(_TASKS):
        return _lookup(sandbox, name[len(_TASKS):], v6=v6)
    return found


def owned(sandbox: Sandbox, name: bytes) -> bool:
    """Whether ``name`` is a service (``_http._tcp.web``) of a name of ours: we have none to tell of, and the outside
    knows nothing of it."""
    while name.startswith(b"_"):
        _, dot, name = name.partition(b".")
        if dot and lookup(sandbox, name, v6=False) is not None:
            return True
    return False


def _lookup(sandbox: Sandbox, name: bytes, *, v6: bool) -> list[bytes] | None:
    head, network = name, b""
    while True:
        for private in (True, False):
            found = _in_networks(sandbox, head, network, private=private, v6=v6)
            if found is not None:
                return found
        head, dot, _ = head.rpartition(b".")
        if not dot:
            return None
        network = name[len(head) + 1:]


def _in_networks(sandbox: Sandbox, name: bytes, within: bytes, *, private: bool, v6: bool) -> list[bytes] | None:
    known = False
    for _, network, _, links in sandbox.places:
        if within and within != network.name:
            continue
        # A link of this name hides the network's own entry: the private round has looked already.
        if (name in links) is not private:
            continue
        members = network.names.get(links[name] if private else name)
        if members is None:
            continue
        known = True
        addresses = [address for member in members if (address := member.v6 if v6 else member.v4)]
        if addresses:
            return addresses
    return [] if known else None


def reverse(sandbox: Sandbox, name: bytes) -> bytes | None:
    """``container.network`` behind a name of in-addr.arpa or ip6.arpa, as far as ``sandbox`` sees it."""
    address = _reverse_address(name)
    if address:
        for _, network, _, _ in sandbox.places:
            found = network.addresses.get(address)
            if found is not None:
                return found[1]
    return None


def _reverse_address(name: bytes) -> bytes | None:
    labels = name.split(b".")
    try:
        if name.endswith(b".in-addr.arpa") and len(labels) == 6:
            return bytes(int(label) for label in labels[3::-1])
        if name.endswith(b".ip6.arpa") and len(labels) == 34:
            return bytes.fromhex(b"".join(labels[31::-1]).decode("ascii"))
    except ValueError:
        pass
    return None
