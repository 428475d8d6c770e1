"""JSON without the ``json`` package's import cost: the same C scanner and encoder, wired directly.

``import json`` brings ``re`` and ``enum`` (8 ms, half of Python's own start); a command such as ``solva ps`` needs
neither. Results are those of ``json.loads`` and ``json.dumps``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    import _json
except ImportError:  # an interpreter without the C accelerator
    import json as _slow

    def loads(data: bytes | str) -> Any:
        """The value of one JSON document; ValueError when it is none."""
        return _slow.loads(data)

    def dumps(value: Any) -> str:
        """``value`` as compact JSON."""
        return _slow.dumps(value, separators=(",", ":"))

    def quoted(text: str) -> str:
        """``text`` as a JSON string, other scripts left as they are."""
        return _slow.dumps(text, ensure_ascii=False)
else:
    class _Context:
        strict = False
        object_hook = None
        object_pairs_hook = None
        parse_float = float
        parse_int = int
        parse_constant = float
        memo: dict[str, str] = {}  # noqa: RUF012  the scanner wants the attribute, per decoder

    _context: Any = _Context
    _scan = _json.make_scanner(_context)

    def loads(data: bytes | str) -> Any:
        """The value of one JSON document; ValueError when it is none."""
        text = (data if isinstance(data, str) else str(data, "utf-8", "replace")).strip()
        try:
            value, end = _scan(text, 0)
            if end == len(text):
                return value
        except (StopIteration, SystemError, ValueError):
            pass  # the bare scanner cannot say what is wrong where; the package can
        import json

        return json.loads(text)

    def _refuse(value: Any) -> Any:
        raise TypeError(f"{type(value).__name__} has no JSON form")

    _encode = _json.make_encoder({}, _refuse, _json.encode_basestring_ascii, None, ":", ",", False, False, True)

    def dumps(value: Any) -> str:
        """``value`` as compact JSON."""
        return "".join(_encode(value, 0))

    def quoted(text: str) -> str:
        """``text`` as a JSON string, other scripts left as they are."""
        result: str = _json.encode_basestring(text)
        return result
