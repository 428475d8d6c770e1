"""Every published port and who reaches it: this host by a real connection, the LAN by the walk."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, replace

from solva.containers.model import Registry
from solva.explain import inbound
from solva.explain.collect import Collector, read_kernel
from solva.explain.facts import Listener, Machine, Party, Published, Question, loopback, unspecified
from solva.explain.walk import walk
from solva.networks.firewall import ruleset

_SECONDS = 1.5
_AT_ONCE = 32
_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"


@dataclass(frozen=True, slots=True)
class Exposure:
    """One row. ``loopback``, ``host``, ``lan``: yes, no, or unknown (UDP cannot be asked); ``verified``: what was
    really done to find out; ``note``: why somebody is kept out, or nothing answers."""

    container: str
    project: str
    service: str
    proto: str
    host_ip: str
    host_port: int
    port: int
    loopback: str
    host: str
    lan: str
    verified: str
    note: str = ""


async def audit(collector: Collector, containers: Registry) -> list[Exposure]:
    """All of them, by container and port."""
    kernel = await asyncio.to_thread(read_kernel)
    machine = await collector.machine(kernel, 0)
    rows: list[Exposure] = []
    limit = asyncio.Semaphore(_AT_ONCE)
    for container in sorted(containers.all(), key=lambda each: each.name):
        if not container.state.alive or container.host_config.network_mode.startswith("container:"):
            continue
        party = await collector.container(container, kernel)
        labels = container.config.labels
        owner = (container.name, labels.get(_PROJECT, ""), labels.get(_SERVICE, ""))
        rows += _open_anyway(owner, party)
        rows += await asyncio.gather(*(_row(owner, party, port, machine, limit) for port in party.published
                                       if port.host_port))
    return rows


def _open_anyway(owner: tuple[str, str, str], party: Party) -> list[Exposure]:
    """Containers that others reach without any port being published."""
    if party.mode == "host":
        return [Exposure(*owner, "any", "", 0, 0, "yes", "yes", "yes", "by its network mode",
                         "is in the host's network: whatever it listens on is the host's")]
    found = []
    for place in party.places:
        note = ""
        if place.driver in ("macvlan", "ipvlan"):
            note = f"is on the LAN itself ({place.driver} network {place.network}): every port it listens on is open"
        elif place.rules is not None and ruleset.UNPROTECTED in (place.rules.mode4, place.rules.mode6):
            note = f"network {place.network} is nat-unprotected: every port is open to who has a route to it"
        if note:
            found.append(Exposure(*owner, "any", place.ipv4 or place.ipv6, 0, 0, "no", "no" if place.driver == "macvlan"
                                  else "yes", "yes", "by its network's driver", note))
    return found


async def _row(owner: tuple[str, str, str], party: Party, port: Published, machine: Machine,
               limit: asyncio.Semaphore) -> Exposure:
    six = ":" in port.host_ip
    near = "::1" if six else "127.0.0.1"
    mine = [address for address in machine.addresses if (":" in address) == six and not loopback(address)
            and not address.startswith("fe80:")]
    outer = port.host_ip if not unspecified(port.host_ip) and not loopback(port.host_ip) else \
        machine.outer(6 if six else 4) or next(iter(mine), "")
    async with limit:
        inner_says = await _reaches(port, near if unspecified(port.host_ip) else port.host_ip
                                    if loopback(port.host_ip) else "", party)
        outer_says = await _reaches(port, "" if loopback(port.host_ip) else outer, party)
    lan, cause = _lan(party, port, machine)
    carried = not six or any(place.ipv6 for place in party.places) or "connected" in (inner_says, outer_says)
    if not carried and lan == "yes":
        lan, cause = "no", "the host's IPv6 is not carried to a container without IPv6"
    verified = [f"{where}: {said}" for where, said in ((near, inner_says), (outer, outer_says)) if said and where]
    troubles = [f"{said} at {where}" for where, said in ((outer, outer_says), (near, inner_says))
                if said not in ("", "connected")]
    note = cause if lan != "yes" else "".join(troubles[:1])
    if loopback(port.host_ip) and not unspecified(port.host_ip):
        note = _local_cause(party, port, machine) if troubles else "for this host only, as published"
    return Exposure(*owner, port.proto, port.host_ip, port.host_port, port.port, _word(inner_says), _word(outer_says),
                    lan, "; ".join(verified), note)


def _word(said: str) -> str:
    return "yes" if said == "connected" else "unknown" if said.startswith("not asked") else "no"


async def _reaches(port: Published, address: str, party: Party) -> str:
    """What a connection from this host comes to; "" where the port is not published at such an address."""
    if not address:
        return ""
    if port.proto != "tcp":
        serves = _served(party.listeners, port)
        return f"not asked ({port.proto}); {'a socket is open' if serves else 'no socket is open'} in {party}"
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(address, port.host_port, family=socket.AF_INET6
                                                      if ":" in address else socket.AF_INET)
    except TimeoutError:
        return f"no answer within {_SECONDS} s"
    except OSError as error:
        return "refused" if isinstance(error, ConnectionRefusedError) else (error.strerror or str(error)).lower()
    writer.close()
    return "connected"


def _served(listeners: tuple[Listener, ...], port: Published) -> bool:
    return any(each.proto == port.proto and each.port == port.port and inbound.takes(each.address, port.address)
               for each in listeners if port.address)


def _local_cause(party: Party, port: Published, machine: Machine) -> str:
    """Why this host itself gets no answer."""
    here = replace(machine, published=(port,), holders={party.name: party})
    target = Party("address", port.host_ip, address=port.host_ip)
    found = walk(Question(Party("host", "host", "this host"), target, port.host_port, port.proto), here)
    return found.cause or "no answer"


def _lan(party: Party, port: Published, machine: Machine) -> tuple[str, str]:
    """Whether another machine reaches this one binding: yes or no with the cause."""
    only = replace(party, published=(port,))
    found = walk(Question(Party("lan", "lan", "the LAN"), only, port.port, port.proto), machine)
    if found.reachable and any(step.verdict == "unknown" for step in found.steps if step.stage == "rules"):
        return "unknown", next(step.text for step in found.steps if step.verdict == "unknown")
    return ("yes", "") if found.reachable else ("no", found.cause)
