"""What Solva tells of itself beyond Docker's API (``/solva/...``). What each method does is in the module beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solva.containers.model import Registry
from solva.containers.networking import port_mappings
from solva.dns import paths
from solva.dns.client import NameService
from solva.explain import querylog
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

    async def why(self, source: str, target: str, *, send: bool) -> Json:
        """Whether ``source`` reaches ``target`` (``B[:PORT[/PROTO]]``), step by step; ``send`` proves it by a packet.

        NotFound for a source there is not; a target that is not there is an answer.
        """
        from solva.explain import reach  # here and below: not in every engine's memory from its start

        return await reach.why(self._s.containers, self._s.networks, source, target, send=send)

    async def obstacles(self, container: str) -> list[str]:
        """What other firewalls would stop of a container's traffic, a sentence each."""
        found = self._s.containers.get(container)
        return await self._s.networks.obstacles(list(found.endpoints), port_mappings(found))

    async def ports(self) -> list[Json]:
        """Every published port and who reaches it (ports.py). Connects to each of them once."""
        from solva.explain import reach

        return await reach.ports_audit(self._s.containers, self._s.networks)

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
