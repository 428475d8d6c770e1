"""What Solva tells of itself beyond Docker's API (``/solva/...``). What each method does is in the module beside it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solva.containers.model import Registry
from solva.containers.networking import port_mappings
from solva.dns import paths
from solva.dns.client import NameService
from solva.errors import InvalidParameter
from solva.explain import packet, ports, querylog, views
from solva.explain.collect import Collector
from solva.explain.facts import Answer, Question
from solva.explain.packet import Proof
from solva.explain.walk import walk
from solva.networks.service import NetworkService

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sources:
    """What is asked about."""

    run: Path
    data: Path
    names: NameService
    containers: Registry
    networks: NetworkService


class ExplainService:
    """One an engine; holds nothing."""

    def __init__(self, sources: Sources) -> None:
        self._s = sources
        self._collector = Collector(sources.containers, sources.networks)
        self._proofs = itertools.count(1)

    async def why(self, source: str, target: str, *, send: bool) -> Json:
        """Whether ``source`` reaches ``target`` (``B[:PORT[/PROTO]]``), step by step; ``send`` proves it by a packet.

        NotFound for a source there is not; a target that is not there is an answer.
        """
        question, machine = await self._collector.question(source, target)
        answer = walk(question, machine)
        proof = await self._prove(question, answer) if send else None
        return views.answer(question, answer, proof)

    async def _prove(self, question: Question, answer: Answer) -> Proof | None:
        source, target = question.source, question.target
        if source.kind not in ("container", "host", "lan", "internet"):
            raise InvalidParameter(f"--packet sends from a container, from this host, or from a stand-in for the lan; "
                                   f"{source} is none of them")
        if source.state != "running" or not answer.address:
            return None
        port = answer.port or next((each.port for each in target.listeners if each.proto == question.proto), 0)
        if not port:
            raise InvalidParameter(f"--packet needs a port: {target.asked}:PORT")
        sandbox = None
        if source.kind == "container" and source.mode != "host":
            sandbox = self._s.networks.sandbox(self._collector.owner(source.name))
        netns = sandbox.netns if sandbox is not None else ""
        outside = source.kind in ("lan", "internet")
        if outside and ":" in answer.address:
            raise InvalidParameter("--packet from the lan is sent over IPv4 only")
        marks = f"{self._s.networks.table}_trace{next(self._proofs)}"


        def send() -> Proof:
            if not outside:
                return packet.prove(netns, answer.address, port, question.proto, marks=marks)
            with packet.neighbour() as there:
                return packet.prove(there, answer.address, port, question.proto, marks=marks)

        return await asyncio.to_thread(send)

    async def obstacles(self, container: str) -> list[str]:
        """What other firewalls would stop of a container's traffic, a sentence each."""
        found = self._s.containers.get(container)
        return await self._s.networks.obstacles(list(found.endpoints), port_mappings(found))

    async def ports(self) -> list[Json]:
        """Every published port and who reaches it (ports.py). Connects to each of them once."""
        return [views.exposure(row) for row in await ports.audit(self._collector, self._s.containers)]

    async def doctor(self) -> list[Json]:
        """What this machine can do (solva.doctor)."""
        from solva.doctor.examine import examine  # not in every engine's memory from its start

        return await asyncio.to_thread(examine, self._s.data)

    async def name_server(self) -> Json:
        """The name server's process, the sandboxes it serves, those it cannot, and whether it logs queries."""
        status = await self._s.names.status()
        return {"Pid": status["pid"], "QueryLog": status["log_queries"], "LogFile": paths.log_file(str(self._s.run)),
                "Sandboxes": status["sandboxes"], "Failed": status["failed"]}

    async def set_query_log(self, wanted: bool) -> Json:
        """On or off, at once, until the name server ends with the machine; the answer is ``name_server``'s."""
        await self._s.names.log_queries(wanted)
        return await self.name_server()

    def query_log(self, *, tail: int, follow: bool) -> AsyncIterator[bytes]:
        """Lines of the log (querylog.py)."""
        return querylog.read(Path(paths.log_file(str(self._s.run))), tail=tail, follow=follow)
