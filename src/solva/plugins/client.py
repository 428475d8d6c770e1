"""A plugin's methods: a Struct out, a Struct back."""

from __future__ import annotations

import asyncio
import time
import types
import typing
from typing import Any, TypeVar

import msgspec

from solva.plugins import http
from solva.plugins.discovery import Location
from solva.plugins.errors import MethodMissing, PluginAway, PluginError, PluginSilent

T = TypeVar("T")
SILENCE = 30.0
_TEXT = 500
# Nothing tells when a server begins to listen, so a plugin that is being restarted is tried again after these pauses.
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)


class Nothing(msgspec.Struct):
    """An answer without content."""


class Client:
    """``timeout``: seconds for one call as a whole, whatever the plugin does."""

    def __init__(self, location: Location, timeout: float) -> None:
        self.location = location
        self.name = location.name
        self._timeout = timeout
        self._silent_until = 0.0

    @property
    def silent(self) -> bool:
        """It has not answered a short while ago: who does not need it asks others."""
        return time.monotonic() < self._silent_until

    async def call(self, method: str, request: Any, answer: type[T], *, timeout: float = 0, patient: bool = True) -> T:
        """POST ``request`` (a Struct or dict, None for no body). A field ``Err`` or ``Error`` is the caller's business;
        only in an answer that is not 200 it becomes the error's text. ``patient``: a plugin that is just being
        restarted is waited for. PluginError and its kinds."""
        body = b"" if request is None else msgspec.json.encode(request)
        try:
            status, data = await self._post(method, body, timeout or self._timeout, patient)
        except PluginSilent:
            self._silent_until = time.monotonic() + SILENCE
            raise
        if status != 200:
            text = _refusal(data)
            if status == 404:
                raise MethodMissing(f"{method}: {text or 'not found'}")
            raise PluginError(f"{method}: {text or f'HTTP status {status}'}")
        try:
            return msgspec.convert(_fold(msgspec.json.decode(data), answer), answer)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            shown = data[:60].decode(errors="replace")
            raise PluginError(f'plugin "{self.name}" answered {method} with {shown!r}, which is not what the protocol '
                              f"asks for: {error}") from error

    async def _post(self, method: str, body: bytes, timeout: float, patient: bool) -> tuple[int, bytes]:
        for pause in _PAUSES if patient else ():
            try:
                return await http.post(self.location, method, body, timeout)
            except PluginAway:
                await asyncio.sleep(pause)
        return await http.post(self.location, method, body, timeout)


def _refusal(data: bytes) -> str:
    """The text in an answer that is an error: a field Err, or all of it."""
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        found = None
    text = ""
    if isinstance(found, dict):
        values = [found.get(key) for key in ("Err", "Error", "err")]
        text = next((value for value in values if isinstance(value, str) and value), "")
    text = text or data[:_TEXT * 4].decode(errors="replace")
    return "".join(char if char.isprintable() else " " for char in text.strip()[:_TEXT])


def _fold(value: Any, kind: Any) -> Any:
    """Field names in any case and null for an absent value, as Go's decoder takes them: plugins rely on it."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        inner = [part for part in typing.get_args(kind) if part is not type(None)]
        return _fold(value, inner[0]) if len(inner) == 1 else value
    if origin is list and isinstance(value, list):
        (item,) = typing.get_args(kind)
        return [_fold(each, item) for each in value]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
        fields = {field.name.lower(): field for field in msgspec.structs.fields(kind)}
        folded = {}
        for key, each in value.items():
            field = fields.get(key.lower())
            if field is not None and each is not None:
                folded[field.name] = _fold(each, field.type)
        return folded
    return value
