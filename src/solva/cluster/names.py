"""Names of endpoints on other hosts, for the name server: its file of a network, and the word that it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from solva.cluster.rows import NetworkRow
from solva.cluster.state import Placed
from solva.dns import paths, state

_ANSWER_SECONDS = 2.0


def build(network: str, row: NetworkRow, peers: Sequence[Placed]) -> state.SandboxNames:
    """Pure. No namespace: nobody asks from there, nothing is bound."""
    return state.SandboxNames(
        id=state.peers_id(network), netns="", name=f"other hosts on {row.name}",
        endpoints=tuple(state.NamedEndpoint(network_id=network, network_name=row.name, ipv4=placed.row.ipv4,
                                            ipv6=placed.row.ipv6, names=placed.row.names) for placed in peers))


async def publish(run: Path, wired: Iterable[str],
                  wanted: Mapping[str, tuple[NetworkRow, Sequence[Placed]]]) -> None:
    """What differs from the files is written and told; networks that are not ``wired`` on this host are forgotten. The
    name server need not live: the next one reads the files."""
    stale = []
    for network, (row, peers) in wanted.items():
        names = build(network, row, peers)
        path = Path(paths.sandbox_file(str(run), names.id))
        if names.endpoints:
            if not path.exists() or path.read_bytes() != msgspec.json.encode(names):
                state.write(str(run), names)
                stale.append(f"put {names.id}")
        elif path.exists():
            state.remove(str(run), names.id)
            stale.append(f"remove {names.id}")
    known = {state.peers_id(network) for network in wired}
    for other in state.known(str(run)):
        if other.startswith(state.peers_id("")) and other not in known:
            state.remove(str(run), other)
            stale.append(f"remove {other}")
    if stale:
        await _tell(run, stale)


async def _tell(run: Path, lines: Sequence[str]) -> None:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(paths.control_socket(str(run)))
            try:
                for line in lines:
                    writer.write(line.encode() + b"\n")
                    await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        pass
