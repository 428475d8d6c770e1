"""Questions about reachability to their answers: facts gathered, walked over, proved by a packet."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from solva.containers.model import Registry
from solva.errors import InvalidParameter
from solva.explain import packet, ports, views
from solva.explain.collect import Collector
from solva.explain.facts import Answer, Question
from solva.explain.packet import Proof
from solva.explain.walk import walk
from solva.networks.service import NetworkService

Json = dict[str, Any]


async def why(containers: Registry, networks: NetworkService, source: str, target: str, *, send: bool) -> Json:
    """See ``ExplainService.why``."""
    collector = Collector(containers, networks)
    question, machine = await collector.question(source, target)
    answer = walk(question, machine)
    proof = await _prove(collector, networks, question, answer) if send else None
    return views.answer(question, answer, proof)


async def ports_audit(containers: Registry, networks: NetworkService) -> list[Json]:
    """See ``ExplainService.ports``."""
    return [views.exposure(row) for row in await ports.audit(Collector(containers, networks), containers)]


async def _prove(collector: Collector, networks: NetworkService, question: Question, answer: Answer) -> Proof | None:
    source, target = question.source, question.target
    if source.kind not in ("container", "host", "lan", "internet"):
        raise InvalidParameter("--packet sends from a container, from this host, or from a stand-in for the lan; "
                               f"{source} is none of them")
    if source.state != "running" or not answer.address:
        return None
    port = answer.port or next((each.port for each in target.listeners if each.proto == question.proto), 0)
    if not port:
        raise InvalidParameter(f"--packet needs a port: {target.asked}:PORT")
    outside = source.kind in ("lan", "internet")
    if outside and ":" in answer.address:
        raise InvalidParameter("--packet from the lan is sent over IPv4 only")
    sandbox = networks.sandbox(collector.owner(source.name)) if source.kind == "container" else None
    netns = sandbox.netns if sandbox is not None else ""
    marks = f"{networks.table}_trace{secrets.token_hex(3)}"

    def send() -> Proof:
        if not outside:
            return packet.prove(netns, answer.address, port, question.proto, marks=marks)
        with packet.neighbour() as there:
            return packet.prove(there, answer.address, port, question.proto, marks=marks)

    return await asyncio.to_thread(send)
