"""A plan: frozen operations in a DAG, each exactly one API call, readable as text."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Op:
    """One call. ``needs``: keys of operations that come first. ``subject``/``doing``/``done``: what progress shows.

    ``kind``: call (method, path, query, body), wait (until a container is healthy or has ended), hook (exec in it),
    copy (a file into it). ``lenient``: error classes' names that are no failure.
    """

    __slots__ = ("body", "doing", "done", "key", "kind", "lenient", "method", "needs", "path", "query", "reason",
                 "subject")

    def __init__(self, key: str, method: str, path: str, *, needs: Iterable[str] = (), kind: str = "call",
                 query: dict[str, Any] | None = None, body: Any = None, subject: str = "", doing: str = "",
                 done: str = "", reason: str = "", lenient: tuple[str, ...] = ()) -> None:
        values = {"key": key, "method": method, "path": path, "needs": tuple(dict.fromkeys(needs)), "kind": kind,
                  "query": query, "body": body, "subject": subject, "doing": doing, "done": done, "reason": reason,
                  "lenient": lenient}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    key: str
    method: str
    path: str
    needs: tuple[str, ...]
    kind: str
    query: dict[str, Any] | None
    body: Any
    subject: str
    doing: str
    done: str
    reason: str
    lenient: tuple[str, ...]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an Op is frozen: {name}")

    def __str__(self) -> str:
        needs = f"  after {', '.join(self.needs)}" if self.needs else ""
        reason = f"  ({self.reason})" if self.reason else ""
        return f"{self.key}: {self.method} {self.path}{reason}{needs}"


class Plan:
    """Operations in an order in which every one comes after what it needs. ``notes``: (subject, state) as it is."""

    __slots__ = ("notes", "ops")

    def __init__(self, ops: Iterable[Op] = (), notes: Iterable[tuple[str, str]] = ()) -> None:
        self.ops = tuple(ops)
        self.notes = tuple(notes)
        seen: set[str] = set()
        for op in self.ops:
            missing = [need for need in op.needs if need not in seen]
            if missing:
                raise ValueError(f"{op.key} needs {missing[0]}, which does not come before it")
            seen.add(op.key)

    def __str__(self) -> str:
        lines = [str(op) for op in self.ops] or ["nothing to do"]
        return "\n".join(lines)


class Draft:
    """A plan being made."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.keys: set[str] = set()
        self.notes: list[tuple[str, str]] = []

    def add(self, key: str, method: str, path: str, *, needs: Iterable[str] = (), **rest: Any) -> str:
        """One more operation; needs that are no operations of this plan are met already."""
        self.ops.append(Op(key, method, path, needs=[need for need in needs if need in self.keys], **rest))
        self.keys.add(key)
        return key

    def plan(self) -> Plan:
        return Plan(self.ops, self.notes)
