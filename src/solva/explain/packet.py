"""The proof: a real packet from the first end, and the rules it meets on its way through this machine."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from solva.kernel import links, netns
from solva.kernel.netlink import Netlink
from solva.kernel.nft import HANDLES, STATELESS, Nft
from solva.kernel.nftrace import Hop, Tracer
from solva.kernel.setns import in_netns

_SECONDS = 2.0
_STAND_IN = tuple(ipaddress.IPv4Network(text) for text in ("198.51.100.248/29", "203.0.113.248/29", "192.0.2.248/29"))
"""Of the documentation's networks: no machine has such an address."""
_MAC = "02:42:c6:33:64:fa"
_HANDLE = re.compile(r"^\s*(.*?)\s*# handle (\d+)$")


@dataclass(frozen=True, slots=True)
class Passage:
    """A rule or policy the packet met. ``where``: ``inet solva forward``."""

    where: str
    rule: str
    verdict: str
    incoming: str = ""
    outgoing: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """``result``: connected, answered, refused, silence, or the kernel's error. ``arrived``: True, False, None where
    silence proves nothing (UDP)."""

    source: str
    destination: str
    result: str
    arrived: bool | None
    passages: tuple[Passage, ...]


def prove(where: str, address: str, port: int, proto: str, *, marks: str) -> Proof:
    """Send one from the namespace at ``where`` ("": this thread's). ``marks``: name of a table of ours for as long as
    it takes. Blocks for up to two seconds."""

    def send() -> tuple[str, str, bool | None]:
        return _send(address, port, proto)

    nft, tracer = Nft(), Tracer()
    try:
        nft.run(_marking(marks, address, port, proto))
        try:
            source, result, arrived = in_netns(where, send) if where else send()
            time.sleep(0.02)      # the last messages are on their way
            hops = tracer.read()
        finally:
            for family in ("inet", "bridge"):
                try:
                    nft.run(f"delete table {family} {marks}")
                except OSError:
                    pass
        return Proof(source, f"{_bracketed(address)}:{port}/{proto}", result, arrived, tuple(_passages(hops, marks)))
    finally:
        tracer.close()
        nft.close()


@contextmanager
def neighbour() -> Iterator[str]:
    """A stand-in for another machine: a namespace on a link of its own to this host, its path. Gone afterwards."""
    kernel = Netlink()
    name = f"svlan{secrets.token_hex(4)}"
    taken = [ipaddress.ip_network(route) for route, _ in links.list_routes(kernel) if not route.endswith("/0")]
    subnet = next(each for each in _STAND_IN if not any(each.overlaps(route) for route in taken))
    ours, theirs = str(subnet[1]), str(subnet[2])
    descriptor = netns.create(lambda made: made)
    try:
        kernel.execute([links.add_veth(name, master=0, peer="eth0", peer_netns=descriptor, peer_mac=_MAC)])
        outer = links.get_link(kernel, name)
        assert outer is not None
        kernel.execute([links.add_address(outer.index, ours, subnet.prefixlen)])
        inside = netns.run(descriptor, Netlink)
        try:
            inner = links.get_link(inside, "eth0")
            assert inner is not None
            inside.execute([links.set_link(1, up=True), links.set_link(inner.index, up=True),
                            links.add_address(inner.index, theirs, subnet.prefixlen)])
            inside.execute([links.add_route("default", index=inner.index, gateway=ours)])
        finally:
            inside.close()
        yield f"/proc/self/fd/{descriptor}"
    finally:
        try:
            kernel.execute([links.delete_link(name)])
        except OSError:
            pass      # it was never made
        os.close(descriptor)
        kernel.close()


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _marking(name: str, address: str, port: int, proto: str) -> str:
    """Marked before any other rule sees it; on a bridge as well, where no rule of the machine may be passed at all."""
    version = ipaddress.ip_address(address).version
    match = f"{'ip' if version == 4 else 'ip6'} daddr {address} {proto} dport {port}"
    if proto == "tcp":
        match += " tcp flags & (syn | ack) == syn"
    rule = f"{match} meta nftrace set 1"
    # What a bridge hands up to be routed has lost its mark; by then it may be translated.
    routed = (f"ct original {'ip' if version == 4 else 'ip6'} daddr {address} meta l4proto {proto} "
              f"ct original proto-dst {port} ct direction original ct state new meta nftrace set 1")
    return (f"add table inet {name}\n"
            f"add chain inet {name} incoming {{ type filter hook prerouting priority -450; }}\n"
            f"add chain inet {name} outgoing {{ type filter hook output priority -450; }}\n"
            f"add rule inet {name} incoming {rule}\nadd rule inet {name} outgoing {rule}\n"
            f"add chain inet {name} routed {{ type filter hook forward priority -450; }}\n"
            f"add rule inet {name} routed {routed}\n"
            f"add table bridge {name}\n"
            f"add chain bridge {name} port {{ type filter hook prerouting priority -350; }}\n"
            f"add rule bridge {name} port {rule}\n")


def _send(address: str, port: int, proto: str) -> tuple[str, str, bool | None]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM) as sending:
        sending.settimeout(_SECONDS)
        try:
            sending.connect((address, port))
            source = "{}:{}".format(*sending.getsockname()[:2])
            if proto == "tcp":
                return source, "connected", True
            sending.settimeout(_SECONDS / 2)
            sending.send(b"\0")
            sending.recv(1)
            return source, "answered", True
        except TimeoutError:
            source = "{}:{}".format(*sending.getsockname()[:2])
            if proto == "udp":
                return source, "no answer, which UDP servers need not give", None
            return source, f"no answer within {_SECONDS:.0f} s", False
        except OSError as error:
            refused = error.errno == errno.ECONNREFUSED
            text = "refused" if refused else os.strerror(error.errno or 0).lower()
            return "", text, False


def _passages(hops: list[Hop], marks: str) -> list[Passage]:
    """The first packet's hops; what merely goes on is left out."""
    if not hops:
        return []
    names = _interfaces()
    texts: dict[tuple[str, str], dict[int, str]] = {}
    found = []
    begun: set[str] = set()
    for hop in hops:
        if hop.table == marks and hop.handle:
            if f"{hop.family} {hop.chain}" in begun:
                break      # it was sent a second time
            begun.add(f"{hop.family} {hop.chain}")
        if hop.table == marks and (hop.family != "bridge" or not hop.handle):
            continue
        if hop.kind == "return" or (hop.kind == "rule" and hop.verdict == "continue" and hop.table != marks):
            continue
        table = (hop.family, hop.table)
        if table not in texts:
            texts[table] = {} if hop.table == marks else _rules(*table)
        where = "a port of the bridge" if hop.table == marks else f"{hop.family} {hop.table} {hop.chain}"
        rule = "" if hop.table == marks else texts[table].get(hop.handle, "") if hop.kind == "rule" else "policy"
        found.append(Passage(where, rule, "seen" if hop.table == marks else hop.verdict,
                             names.get(hop.incoming, ""), names.get(hop.outgoing, "")))
    return [each for at, each in enumerate(found) if at == 0 or each != found[at - 1]]


def _interfaces() -> dict[int, str]:
    kernel = Netlink()
    try:
        return {link.index: link.name for link in links.list_links(kernel)}
    finally:
        kernel.close()


def _rules(family: str, name: str) -> dict[int, str]:
    nft = Nft(STATELESS | HANDLES)
    try:
        lines = nft.run(f"list table {family} {name}").splitlines()
    except OSError:
        return {}
    finally:
        nft.close()
    return {int(found[2]): found[1] for line in lines if (found := _HANDLE.match(line))}
