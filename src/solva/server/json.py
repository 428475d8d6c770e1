"""JSON in and out of routes."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from solva.api.types.container import decode as decode_body
from solva.clock import parse_rfc3339
from solva.errors import InvalidParameter

if TYPE_CHECKING:
    from solva.server.http import Request

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


def reply(request: Request, value: Any, status: int = 200) -> None:
    """Answer with a JSON value."""
    request.respond(status, _encode(value) + b"\n")


async def decode(request: Request, type_: type[T], *, optional: bool = False) -> T:
    """The body as ``type_``; InvalidParameter with Docker's words where it is not JSON or of another shape.

    ``optional``: an empty body stands for ``{}``.
    """
    data = await request.body()
    if not data.strip():
        if not optional:
            raise InvalidParameter("invalid JSON: got EOF while reading request body")
        data = b"{}"
    return decode_body(data, type_)


def filters(request: Request) -> dict[str, list[str]]:
    """The ``filters`` parameter: Docker's ``{"k": {"v": true}}`` or the older ``{"k": ["v"]}``."""
    text = request.query.get("filters", "")
    if not text:
        return {}
    try:
        raw = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidParameter("invalid filter") from error
    if not isinstance(raw, dict):
        raise InvalidParameter("invalid filter")
    result: dict[str, list[str]] = {}
    for key, values in raw.items():
        if isinstance(values, dict):
            result[key] = [str(value) for value, wanted in values.items() if wanted]
        elif isinstance(values, list):
            result[key] = [str(value) for value in values]
        else:
            raise InvalidParameter(f"invalid filter: values of {key!r} must be an object or a list")
    return result


def header_json(request: Request, name: str) -> dict[str, Any] | None:
    """A header that holds base64url of a JSON object (X-Registry-Auth, X-Registry-Config); None when absent."""
    text = request.headers.get(name.lower(), "")
    if not text:
        return None
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        value = msgspec.json.decode(data) if data else {}
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidParameter(f"invalid {name} header: {error}") from error
    return value if isinstance(value, dict) else None


def moment(request: Request, name: str) -> int | None:
    """``since``/``until``: seconds with up to nine decimals, or RFC 3339; nanoseconds."""
    text = request.query.get(name, "")
    if not text:
        return None
    seconds, _, fraction = text.partition(".")
    if seconds.lstrip("-").isdigit():
        return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0)
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise InvalidParameter(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
