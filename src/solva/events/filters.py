"""Docker's filters of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solva.errors import InvalidParameter

if TYPE_CHECKING:
    from solva.events.bus import Event

OBJECTS = ("container", "network", "volume", "daemon", "plugin", "builder", "service", "node", "secret", "config")
KNOWN = frozenset((*OBJECTS, "image", "type", "event", "label", "scope"))
_WITH_WORDS = {"health_status", "exec_create", "exec_start"}      # their actions go on: "exec_start: sh -c …"


def check(filters: dict[str, list[str]]) -> None:
    """InvalidParameter for a filter that there is not (Docker passes over it, which shows more than was asked)."""
    for key in filters:
        if key not in KNOWN:
            raise InvalidParameter(f"invalid filter '{key}'")


def matches(event: Event, filters: dict[str, list[str]]) -> bool:
    """Whether an event passes: rows of one key are alternatives, keys must all hold, labels must all hold."""
    return all(_passes(event, key, values) for key, values in filters.items() if values)


def _passes(event: Event, key: str, values: list[str]) -> bool:
    if key == "type":
        return event.type in values
    if key == "event":
        if _WITH_WORDS & set(values):
            return any(event.action.startswith(value) for value in values)
        return event.action in values
    if key == "scope":
        return "local" in values
    if key == "label":
        return all(_labelled(event, value) for value in values)
    name = event.attributes.get("name", "")
    if key == "image":
        named = name if event.type == "image" else event.attributes.get("image", "")
        known = {event.actor_id, named, _without_tag(event.actor_id), _without_tag(named)} - {""}
        return event.type in ("image", "container") and any(value in known for value in values)
    # an object of whatever kind by the beginning of its id or name, as Docker has it
    return any(value and (event.actor_id.startswith(value) or name.startswith(value.removeprefix("/")))
               for value in values)


def _labelled(event: Event, wanted: str) -> bool:
    key, separator, value = wanted.partition("=")
    return key in event.attributes and (not separator or event.attributes[key] == value)


def _without_tag(name: str) -> str:
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name
