"""Docker's filters of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solva.errors import InvalidParameter

if TYPE_CHECKING:
    from solva.events.bus import Event

OBJECTS = ("container", "image", "network", "volume", "daemon", "plugin", "builder", "service", "node", "secret",
           "config")
KNOWN = frozenset((*OBJECTS, "type", "event", "label", "scope"))


def matches(event: Event, filters: dict[str, list[str]]) -> bool:
    """Whether an event passes: rows of one key are alternatives, keys must all hold, labels must all hold."""
    for key, values in filters.items():
        if key not in KNOWN:
            raise InvalidParameter(f"invalid filter '{key}'")
        if not values:
            continue
        if key == "type":
            passed = event.type in values
        elif key == "event":
            passed = any(event.action == value or event.action.startswith(value + ":") for value in values)
        elif key == "scope":
            passed = "local" in values
        elif key == "label":
            passed = all(_labelled(event, value) for value in values)
        elif key == "image":
            names = (event.actor_id, event.attributes.get("name", ""), event.attributes.get("image", ""))
            passed = event.type in ("image", "container") and any(_image(value, names) for value in values)
        else:
            name = event.attributes.get("name", "")
            same_kind = event.type == key or (key == "container" and event.type == "network")
            identifiers = (event.actor_id, event.attributes.get("container", "")) if event.type == "network" else (
                event.actor_id,)
            passed = same_kind and any(
                value in (name, "/" + name) or any(i.startswith(value) for i in identifiers if i) for value in values)
        if not passed:
            return False
    return True


def _labelled(event: Event, wanted: str) -> bool:
    key, separator, value = wanted.partition("=")
    return key in event.attributes and (not separator or event.attributes[key] == value)


def _image(wanted: str, names: tuple[str, ...]) -> bool:
    return any(name and (name == wanted or name.split(":")[0] == wanted or name.startswith(wanted)) for name in names)
