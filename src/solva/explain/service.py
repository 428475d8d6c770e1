"""What Solva tells of itself beyond Docker's API (``/solva/...``). What each method does is in the module beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solva.dns import paths
from solva.dns.client import NameService
from solva.explain import querylog

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sources:
    """What is asked about."""

    run: Path
    names: NameService


class ExplainService:
    """One an engine; holds nothing."""

    def __init__(self, sources: Sources) -> None:
        self._s = sources

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
