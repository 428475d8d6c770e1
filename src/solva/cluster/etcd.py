"""etcd v3 through its JSON gateway: read, transactions, leases, watches; several servers, whichever answers.

Keys and values are text here and base64 on the wire; 64-bit numbers are strings there. Facts: etcd's
``api-reference`` "gRPC gateway"; docs/design/023-overlay.md tells what of it is used.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from solva.cluster.http import Connection, Connections, HttpError

Json: TypeAlias = dict[str, Any]
Server: TypeAlias = tuple[str, int]

DEFAULT_PORT = 2379
CALL_SECONDS = 5.0
_IMPATIENT_SECONDS = 5.0
_NEVER = (-_IMPATIENT_SECONDS, "")
_NO_LEADER = "Grpc-Metadata-Hasleader: true\r\n"
_NONSENSE = (KeyError, TypeError, ValueError, AttributeError)
T = TypeVar("T")


class EtcdError(Exception):
    """etcd refused, in its words."""


class LeaseGone(EtcdError):
    """A key was to be bound to a lease that has run out."""


class Unreachable(EtcdError):
    """No server answered, or none that has a quorum. ``sent``: the request may have had its effect."""

    def __init__(self, text: str, *, sent: bool = False) -> None:
        super().__init__(text)
        self.sent = sent


class HistoryLost(EtcdError):
    """A watch cannot go on from where it was: compacted, or another store. Read everything anew."""


@dataclass(frozen=True, slots=True)
class Row:
    """A key with its value. ``created`` and ``changed`` are revisions of the store."""

    key: str
    value: str
    created: int = 0
    changed: int = 0
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows of a prefix as they were at a revision."""

    revision: int
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A row put, or (``row`` None) deleted, at a revision."""

    key: str
    row: Row | None
    revision: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What happened, in order. The first one of a watch is empty: it has begun."""

    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a transaction: which branch it took, and the rows that branch read, a tuple a read."""

    succeeded: bool
    revision: int
    reads: tuple[tuple[Row, ...], ...] = ()


# -- conditions and operations of a transaction

def absent(key: str) -> Json:
    return {"key": _b64(key), "target": "CREATE", "result": "EQUAL", "create_revision": "0"}


def none_below(prefix: str) -> Json:
    """No key begins with ``prefix``."""
    return {**absent(prefix), "range_end": _b64(prefix_end(prefix))}


def present(key: str) -> Json:
    return {"key": _b64(key), "target": "CREATE", "result": "GREATER", "create_revision": "0"}


def holds(key: str, value: str) -> Json:
    return {"key": _b64(key), "target": "VALUE", "result": "EQUAL", "value": _b64(value)}


def unchanged(key: str, changed: int) -> Json:
    """Not put or deleted since revision ``changed`` (0: not there)."""
    return {"key": _b64(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(changed)}


def put(key: str, value: str, lease: int = 0) -> Json:
    body = {"key": _b64(key), "value": _b64(value)}
    return {"request_put": body | ({"lease": str(lease)} if lease else {})}


def delete(key: str) -> Json:
    return {"request_delete_range": {"key": _b64(key)}}


def delete_below(prefix: str) -> Json:
    return {"request_delete_range": {"key": _b64(prefix), "range_end": _b64(prefix_end(prefix))}}


def read(key: str) -> Json:
    return {"request_range": {"key": _b64(key)}}


def read_below(prefix: str) -> Json:
    return {"request_range": {"key": _b64(prefix), "range_end": _b64(prefix_end(prefix))}}


def prefix_end(prefix: str) -> str:
    """The first key behind all that begin with ``prefix`` (ASCII, not empty)."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


class Etcd:
    """One a process. Calls may overlap. A call tries every server once before it fails with Unreachable."""

    def __init__(self, servers: Sequence[Server], seconds: float = CALL_SECONDS) -> None:
        self._servers = list(servers)
        self._seconds = seconds
        self._connections = Connections()
        self._failed = _NEVER      # when nothing answered last, and why

    def __str__(self) -> str:
        return ", ".join(f"{host}:{port}" for host, port in self._servers)

    def close(self) -> None:
        self._connections.close()

    async def snapshot(self, prefix: str) -> Snapshot:
        return await self._call("kv/range", {"key": _b64(prefix), "range_end": _b64(prefix_end(prefix))},
                                lambda answer: Snapshot(_revision(answer), _rows(answer)))

    async def get(self, key: str) -> Row | None:
        return next(iter(await self._call("kv/range", {"key": _b64(key)}, _rows)), None)

    async def transact(self, conditions: Sequence[Json], then: Sequence[Json],
                       otherwise: Sequence[Json] = (), *, patient: bool = True) -> Outcome:
        """``then`` if all conditions hold, ``otherwise`` if not; at once and whole. Not ``patient``: Unreachable at
        once if the last try failed, seconds ago."""
        since, why = self._failed
        if not patient and time.monotonic() - since < _IMPATIENT_SECONDS:
            raise Unreachable(why)
        return await self._call("kv/txn", {"compare": list(conditions), "success": list(then),
                                           "failure": list(otherwise)}, _outcome)

    async def grant(self, seconds: int) -> int:
        """A new lease; its id."""
        return await self._call("lease/grant", {"TTL": str(seconds)}, lambda answer: int(answer["ID"]))

    async def keep_alive(self, lease: int) -> tuple[int, int]:
        """Seconds that the lease now has, 0 when it is gone, and the store's revision."""
        return await self._call("lease/keepalive", {"ID": str(lease)}, lambda answer: (
            int(answer["result"].get("TTL", 0)), _revision(answer["result"])))

    async def revoke(self, lease: int) -> None:
        """With it go all keys that were bound to it. Fine when it is gone."""
        try:
            await self._call("lease/revoke", {"ID": str(lease)}, bool)
        except LeaseGone:
            pass

    async def watch(self, prefix: str, since: int) -> AsyncIterator[Batch]:
        """Everything that happens from revision ``since`` on. HistoryLost when the store no longer knows that far back
        (or is another one than it was); Unreachable when the server goes, or loses its quorum."""
        connection = await self._open()
        try:
            request = {"create_request": {"key": _b64(prefix), "range_end": _b64(prefix_end(prefix)),
                                          "start_revision": str(since)}}
            await connection.post("/v3/watch", json.dumps(request).encode(), _NO_LEADER)
            async for line in connection.lines():
                try:
                    batch = _batch(line, since)
                except _NONSENSE:
                    raise HttpError(f"not etcd's: {line[:80]!r}") from None
                self._failed = _NEVER
                yield batch
        except HttpError as error:
            self._move_on(connection.server)
            raise Unreachable(f"{_place(connection.server)}: {error}") from error
        finally:
            connection.close()
        self._move_on(connection.server)
        raise Unreachable(f"{_place(connection.server)}: the watch ended")

    async def _open(self) -> Connection:
        problems = []
        for server in list(self._servers):
            try:
                return await Connection.open(server)
            except HttpError as error:
                problems.append(f"{_place(server)}: {error}")
                self._move_on(server)
        raise Unreachable("; ".join(problems))

    async def _call(self, path: str, body: Json, decode: Callable[[Json], T]) -> T:
        problems, sent = [], False
        for server in list(self._servers):
            try:
                status, answer = await self._connections.call(server, f"/v3/{path}", body, self._seconds)
            except HttpError as error:
                problems.append(f"{_place(server)}: {error}")
                sent = sent or error.sent
                self._move_on(server)
                continue
            if status == 200 and isinstance(answer, dict) and "error" not in answer:
                self._failed = _NEVER
                try:
                    return decode(answer)
                except _NONSENSE:
                    raise EtcdError(f"{_place(server)}: not an answer of etcd's: {str(answer)[:80]}") from None
            text = _said(answer, status)
            if "lease not found" in text:
                raise LeaseGone(text)
            if status < 500 and status != 429 and not _transient(text):
                raise EtcdError(f"etcd at {_place(server)}: {text}")
            problems.append(f"{_place(server)}: {text}")
            sent = True
            self._move_on(server)
        self._failed = (time.monotonic(), "; ".join(problems))
        raise Unreachable(self._failed[1], sent=sent)

    def _move_on(self, server: Server) -> None:
        """The next call begins with another server."""
        if self._servers[0] == server:
            self._servers.append(self._servers.pop(0))


def _outcome(answer: Json) -> Outcome:
    reads = tuple(_rows(part["response_range"]) for part in answer.get("responses", ()) if "response_range" in part)
    return Outcome(bool(answer.get("succeeded")), _revision(answer), reads)


def _transient(text: str) -> bool:
    return any(word in text for word in ("no leader", "timed out", "leader changed", "server stopped", "unavailable"))


def _said(answer: Any, status: int) -> str:
    if isinstance(answer, dict):
        error = answer.get("error", "")
        if isinstance(error, dict):
            error = error.get("message", "")
        text = str(error or answer.get("message", "")).removeprefix("etcdserver: ")
        if text:
            return text
    return f"HTTP status {status}"


def _batch(line: bytes, since: int) -> Batch:
    try:
        answer = json.loads(line)
    except ValueError:
        raise HttpError(f"not JSON: {line[:80]!r}") from None
    if "error" in answer:
        raise HttpError(_said(answer, 200))
    result = answer.get("result", {})
    revision = _revision(result)
    if result.get("canceled"):
        if int(result.get("compact_revision", 0)):
            raise HistoryLost(f"compacted at revision {result['compact_revision']}")
        raise HttpError(f"the watch was cancelled: {result.get('cancel_reason', 'no reason given')}")
    if result.get("created") and revision < since - 1:
        raise HistoryLost(f"the store is at revision {revision}, it was at {since - 1}")
    changes = []
    for event in result.get("events", ()):
        row = _row(event["kv"])
        changes.append(Change(row.key, None if event.get("type") == "DELETE" else row, row.changed))
    return Batch(tuple(changes))


def _rows(answer: Json) -> tuple[Row, ...]:
    return tuple(_row(row) for row in answer.get("kvs", ()))


def _row(row: Json) -> Row:
    key, value = (b64decode(row.get(part, "")).decode("utf-8", "replace") for part in ("key", "value"))
    return Row(key, value, *(int(row.get(part, 0)) for part in ("create_revision", "mod_revision", "lease")))


def _revision(answer: Json) -> int:
    return int(answer.get("header", {}).get("revision", 0))


def _b64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _place(server: Server) -> str:
    host, port = server
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_url(text: str) -> tuple[Server, ...]:
    """``etcd://HOST[:PORT][,HOST[:PORT]...]``; ValueError says what is wrong with it."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme != "etcd":
        raise ValueError(f"{text!r} is not of the form etcd://HOST:PORT[,HOST:PORT...]")
    if "@" in rest:
        raise ValueError("user names and passwords of etcd are not supported; keep etcd on a private network")
    found = []
    for part in rest.rstrip("/").split(","):
        part = part.strip().removeprefix("etcd://")
        host, port = part, str(DEFAULT_PORT)
        if part.startswith("["):
            host, _, tail = part[1:].partition("]")
            port = tail.removeprefix(":") or port
        elif part.count(":") == 1:
            host, _, port = part.partition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{part!r} is not HOST:PORT")
        found.append((host, int(port)))
    return tuple(found)
