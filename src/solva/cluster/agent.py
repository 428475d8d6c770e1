"""The agent: one small process a host, which the data plane of overlay networks rests on while the engine is away.

It keeps the host's lease, follows the store, and writes forwarding tables, neighbours and remote names. The engine
starts it, and talks to it over a socket: one JSON object a line, one answer a line.

    {"do": "status"}                    what ``Agent.status`` says
    {"do": "sync", "revision": N}       when the tables are those of revision N or later
    {"do": "beat"}                      when the host is registered and its endpoints are those of the files
    {"do": "tunnel"}                    when this host's WireGuard link is there
    {"do": "stop"}                      gives the lease back, then the process ends
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from solva.cluster import files, names, plane
from solva.cluster.etcd import Etcd, EtcdError
from solva.cluster.files import Config
from solva.cluster.keeper import Keeper
from solva.cluster.state import State
from solva.cluster.tunnel import Tunnel
from solva.cluster.watcher import Watcher

_log = logging.getLogger(__name__)
RECONCILE_SECONDS = 5.0
_SYNC_SECONDS = 2.0
T = TypeVar("T")


class Agent:
    """``run`` until told to stop."""

    def __init__(self, run: Path, config: Config) -> None:
        self._run_root = run
        self._config = config
        self._etcd = Etcd(config.servers)
        self._due = asyncio.Event()
        self._ended = asyncio.Event()
        self._watcher = Watcher(self._etcd, State(), self._due.set)
        self._keeper = Keeper(run, config, self._etcd, self._watcher)
        self._thread = ThreadPoolExecutor(1, "plane")
        self._tunnel = Tunnel(run, config)
        self._turn = asyncio.Lock()
        self._repaired = 0

    async def run(self, ready: int = -1) -> None:
        path = files.socket_path(self._run_root)
        path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._serve, path)
        finally:
            os.umask(mask)
        if ready >= 0:
            os.write(ready, b"ready\n")
            os.close(ready)
        tasks = [asyncio.ensure_future(work) for work in (self._watcher.run(), self._keeper.run(), self._tend())]
        ended = asyncio.ensure_future(self._ended.wait())
        done, _ = await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, ended):
            task.cancel()
        server.close()
        path.unlink(missing_ok=True)
        self._etcd.close()
        for task in done:
            task.result()      # an error of ours ends the process; the engine starts it again

    # -- tables and names

    async def _tend(self) -> None:
        """After every change, and every few seconds whatever happened: somebody may have touched the kernel's."""
        quiet = True
        while True:
            try:
                found = await self._reconcile()
                if found and quiet:
                    self._repaired += found
                    _log.warning("%d entries of the forwarding tables were not as they should be: mended", found)
            except OSError as error:
                _log.error("forwarding tables: %s", error)
            quiet = False
            try:
                async with asyncio.timeout(RECONCILE_SECONDS):
                    await self._due.wait()
            except TimeoutError:
                quiet = True
            self._due.clear()

    async def _reconcile(self) -> int:
        """How many entries were wrong. Nothing is touched before the store has been read once: what the kernel has
        is better than nothing."""
        state = self._watcher.state
        if not state.known:
            return 0
        async with self._turn:
            found = 0
            here = self._config.host
            wired = plane.networks(self._run_root)
            known = {network: row for network in wired if (row := state.ready(network)) is not None}
            problems: list[OSError] = []
            # The file's word and the store's: neither can make an encrypted network a plain one.
            encrypted = {network for network, row in files.networks(self._run_root).items() if row.encrypted}
            try:
                found += await self._blocking(lambda: self._tunnel.reconcile(bool(encrypted), state.tunnels(here)))
            except OSError as error:      # the networks in plain must not suffer
                problems.append(error)
            for network, row in known.items():
                try:
                    found += await self._blocking(functools.partial(
                        plane.reconcile, self._run_root, network, state.tables(network, here),
                        encrypted=row.encrypted or network in encrypted))
                except OSError as error:      # the other networks must not suffer
                    problems.append(error)
            await names.publish(self._run_root, wired, {
                network: (row, state.peers(network, here)) for network, row in known.items()})
            if problems:
                raise problems[0]
            return found

    async def _blocking(self, action: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, action)

    # -- requests

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    answer = await self._answer(json.loads(line))
                except EtcdError as error:
                    answer = {"error": str(error), "kind": "etcd"}
                except (OSError, ValueError, KeyError) as error:
                    answer = {"error": getattr(error, "strerror", None) or str(error) or type(error).__name__}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        verb = request["do"]
        if verb == "sync":
            if not await self._watcher.reached(int(request["revision"]), _SYNC_SECONDS):
                raise EtcdError(self._watcher.problem or "the watch is behind")
            await self._reconcile()
        elif verb == "tunnel":
            async with self._turn:
                await self._blocking(self._tunnel.up)
        elif verb == "beat":
            await self._keeper.beat()
        elif verb == "stop":
            try:
                await self._keeper.end()
            finally:
                async with self._turn:
                    await self._blocking(self._tunnel.remove)
                self._ended.set()
        elif verb != "status":
            raise ValueError(f"unknown request {verb!r}")
        return self.status()

    def status(self) -> dict[str, Any]:
        """``problem``: why the store cannot be written now, "" when it can."""
        return {
            "pid": os.getpid(), "protocol": files.PROTOCOL, "config": json.loads(_encoded(self._config)),
            "lease": self._keeper.lease, "problem": self._keeper.problem or self._watcher.problem,
            "revision": self._watcher.state.revision, "repaired": self._repaired, "lost": self._keeper.lost,
        }


def _encoded(config: Config) -> bytes:
    import msgspec

    return msgspec.json.encode(config)
