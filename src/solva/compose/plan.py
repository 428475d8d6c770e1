"""A plan: frozen operations in a DAG, each exactly one API call, readable as text, writable as JSON."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_FIELDS = ("key", "method", "path", "needs", "kind", "query", "body", "subject", "doing", "done", "reason", "lenient",
           "chain", "late")


class Op:
    """One call. ``needs``: keys of operations that come first. ``subject``/``doing``/``done``: what progress shows.

    ``kind``: call (method, path, query, body), wait (until a container is healthy or has ended), hook (exec in it),
    copy (a file into it), pull and build (an image). ``lenient``: error classes' names that are no failure.
    ``chain``: operations of one chain are all done once the first is, whatever is interrupted: a recreated container.
    ``late``: what only the run knows: ``image`` (the label is filled with this reference's id), ``config`` and
    ``shares`` (the hash label is that of the config with the ids of the containers whose namespaces it joins).
    """

    __slots__ = _FIELDS

    def __init__(self, key: str, method: str, path: str, *, needs: Iterable[str] = (), kind: str = "call",
                 query: dict[str, Any] | None = None, body: Any = None, subject: str = "", doing: str = "",
                 done: str = "", reason: str = "", lenient: Iterable[str] = (), chain: str = "",
                 late: dict[str, Any] | None = None) -> None:
        values = (key, method, path, tuple(dict.fromkeys(needs)), kind, query, body, subject, doing, done, reason,
                  tuple(lenient), chain, late)
        for name, value in zip(_FIELDS, values, strict=True):
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
    chain: str
    late: dict[str, Any] | None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an Op is frozen: {name}")

    def __str__(self) -> str:
        needs = f"  after {', '.join(self.needs)}" if self.needs else ""
        reason = f"  ({self.reason})" if self.reason else ""
        return f"{self.key}: {self.method} {self.path}{reason}{needs}"

    def document(self) -> dict[str, Any]:
        """As JSON-able values; empty ones are left out."""
        return {name: _plain(getattr(self, name)) for name in _FIELDS if getattr(self, name) not in ("", (), None)}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        from base64 import b64encode

        return {"$bytes": b64encode(value).decode()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def _live(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$bytes"}:
            from base64 import b64decode

            return b64decode(value["$bytes"])
        return {key: _live(item) for key, item in value.items()}
    return [_live(item) for item in value] if isinstance(value, list) else value


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

    def document(self) -> list[dict[str, Any]]:
        """The operations as JSON-able values."""
        return [op.document() for op in self.ops]

    @staticmethod
    def of(document: Iterable[dict[str, Any]]) -> Plan:
        """The plan that `document` wrote; KeyError, TypeError or ValueError when it is none."""
        ops = []
        for entry in document:
            values = _live(entry)
            ops.append(Op(values.pop("key"), values.pop("method"), values.pop("path"), **values))
        return Plan(ops)


class Draft:
    """A plan being made."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.keys: set[str] = set()
        self.notes: list[tuple[str, str]] = []

    def add(self, key: str, method: str, path: str, *, needs: Iterable[str] = (), **rest: Any) -> str:
        """One more operation; needs that are no operations of this plan are met already."""
        if key in self.keys:
            return key
        self.ops.append(Op(key, method, path, needs=[need for need in needs if need in self.keys], **rest))
        self.keys.add(key)
        return key

    def plan(self) -> Plan:
        return Plan(self.ops, self.notes)
