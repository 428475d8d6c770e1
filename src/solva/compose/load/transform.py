"""From the short forms to the long ones, and the values that the long forms leave unsaid."""

from __future__ import annotations

import posixpath

from solva.compose.attributes.convert import placed
from solva.compose.attributes.short import short_port, short_volume
from solva.compose.attributes.units import text
from solva.compose.errors import ComposeError
from solva.compose.load import unique
from solva.compose.load.tree import child, descend, dotted, rules, walk
from solva.compose.load.unique import kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.compose.load.tree import Node, Path


def canonical(content: dict[str, Any], *, lenient: bool, warn: Callable[[str], None]) -> dict[str, Any]:
    """``content`` in long forms, in place. ``lenient``: what does not parse stays (there are variables in it)."""
    result: dict[str, Any] = walk(content, _places(lenient, warn))
    for entry in (result.get("services") or {}).values():
        if isinstance(entry, dict) and isinstance(entry.get("dns"), list):
            entry["dns"] = [item for item in entry["dns"] if item not in (None, "")]
    return result


def _invalid(value: Any, path: Path, what: str) -> ValueError:
    return ValueError(f"{dotted(path)}: invalid type {kind(value)} for {what}")


def _list(value: Any, path: Path) -> Any:
    return [value] if isinstance(value, str) else value


def _string(value: Any, path: Path) -> Any:
    return text(value)


def _source(value: Any, path: Path) -> Any:
    if isinstance(value, str):
        return {"source": value}
    if not isinstance(value, dict):
        raise _invalid(value, path, "a file")
    return value


def _depends_on(value: Any, path: Path) -> Any:
    if isinstance(value, list):
        return {name: {"condition": "service_started", "required": True} for name in value}
    if not isinstance(value, dict):
        raise _invalid(value, path, "depend_on")
    for name, item in value.items():
        if not isinstance(item, dict):
            raise ValueError(f"{dotted((*path, name))}: unsupported value {text(item)}")
        item.setdefault("condition", "service_started")
        item.setdefault("required", True)
    return value


def _env_file(value: Any, path: Path) -> Any:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise _invalid(value, path, "env_file")
    return [{"path": item, "required": True} if isinstance(item, str) else {**item, "required": item.get(
        "required", True)} for item in items]


def _extends(value: Any, path: Path) -> Any:
    return {"service": value} if isinstance(value, str) else value


def _gpus(value: Any, path: Path) -> Any:
    return [{"count": "all"}] if isinstance(value, str) else value


def _names(value: Any, path: Path) -> Any:
    return dict.fromkeys(value) if isinstance(value, list) else value


def _ulimit(value: Any, path: Path) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | dict):
        raise _invalid(value, path, "ulimit")
    return value


def _ssh(value: Any, path: Path) -> Any:
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        raise _invalid(value, path, "ssh")
    result: dict[str, Any] = {}
    for item in value:
        name, equals, place = item.partition("=")
        if not equals and name != "default":
            raise ValueError(f'invalid ssh key "{item}": only `default` goes without a path')
        result[name] = place if equals else None
    return result


def _volume(value: Any, path: Path) -> Any:
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        raise _invalid(value, path, "service volume mount")
    result = short_volume(value)
    result["target"] = clean(result["target"])
    return result


def clean(target: str) -> str:
    """A path without ``.``, ``..`` and needless slashes."""
    if not target:
        return ""
    result = posixpath.normpath(target)
    return result[1:] if result.startswith("//") else result


def _device(value: Any, path: Path) -> Any:
    if not isinstance(value, str):
        return value
    parts = value.split(":")
    if len(parts) > 3:
        raise ValueError(f"confusing device mapping, please use long syntax: {value}")
    return {"source": parts[0], "target": (parts[1] if len(parts) > 1 else "") or parts[0],
            "permissions": parts[2] if len(parts) > 2 else "rwm"}


def _ports(value: Any, path: Path) -> Any:
    if not isinstance(value, list):
        raise _invalid(value, path, "port")
    result: list[Any] = []
    for index, item in enumerate(value):
        if isinstance(item, dict):
            result.append(item)
        elif isinstance(item, str | int) and not isinstance(item, bool):
            result += placed(_port, item, (*path, index))
        else:
            raise _invalid(item, path, "port")
    return result


def _port(value: Any, path: Path) -> Any:
    return short_port(text(value))


def _key_values(value: Any, path: Path) -> Any:
    if not isinstance(value, list):
        return value
    result: dict[str, str] = {}
    for item in value:
        key, equals, rest = item.partition("=")
        if not equals:
            raise ValueError(f"{dotted(path)}: invalid value {item}, expected key=value")
        result[key] = rest
    return result


_PLACES: dict[str, Callable[[Any, Path], Any]] = {
    "services.*.build.secrets.*": _source,
    "services.*.build.provenance": _string,
    "services.*.build.sbom": _string,
    "services.*.build.no_cache_filter": _list,
    "services.*.build.ssh": _ssh,
    "services.*.build.ulimits.*": _ulimit,
    "services.*.depends_on": _depends_on,
    "services.*.env_file": _env_file,
    "services.*.label_file": _list,
    "services.*.extends": _extends,
    "services.*.gpus": _gpus,
    "services.*.networks": _names,
    "services.*.models": _names,
    "services.*.dns": _list,
    "services.*.secrets.*": _source,
    "services.*.configs.*": _source,
    "services.*.ulimits.*": _ulimit,
    "services.*.develop.watch.*.ignore": _list,
    "services.*.develop.watch.*.include": _list,
}
_PARSED: dict[str, Callable[[Any, Path], Any]] = {
    "services.*.build.additional_contexts": _key_values, "services.*.volumes.*": _volume,
    "services.*.devices.*": _device, "services.*.ports": _ports,
}


def _places(lenient: bool, warn: Callable[[str], None]) -> Node:
    def tolerant(rule: Callable[[Any, Path], Any]) -> Callable[[Any, Path], Any]:
        def attempt(value: Any, path: Path) -> Any:
            try:
                return rule(value, path)
            except ValueError:
                return value
        return attempt

    def external(value: Any, path: Path) -> Any:
        return _external(value, path, warn)

    def build(value: Any, path: Path) -> Any:
        if isinstance(value, str):
            return {"context": value}
        if not isinstance(value, dict):
            raise _invalid(value, path, "build")
        return descend(value, inside, path)

    parsed = {place: tolerant(rule) for place, rule in _PARSED.items()} if lenient else _PARSED
    result = rules({**_PLACES, **parsed, **{f"{section}.*": external for section in (
        "volumes", "networks", "secrets", "configs")}})
    inside: Node = result["services"]["*"]["build"]
    inside[None] = build
    return result


def _external(value: Any, path: Path, warn: Callable[[str], None]) -> Any:
    """``external: {name: x}`` is ``external: true`` and ``name: x``."""
    if not isinstance(value, dict) or not isinstance(value.get("external"), dict):
        return value
    name = value["external"].get("name")
    value["external"] = True
    if name is not None:
        warn(f"{dotted(path)}: external.name is deprecated. Please set name and external: true")
        if value.get("name", name) != name:
            raise ComposeError(f"{dotted(path)}: name and external.name conflict; only use name")
        value["name"] = name
    return value


# --- defaults -------------------------------------------------------------------------------------------------------
def set_defaults(content: dict[str, Any]) -> dict[str, Any]:
    """``content`` with what long forms leave unsaid, in place."""
    result: dict[str, Any] = walk(content, _DEFAULTS)
    return result


def null_lists(value: Any, *, everything: bool, node: Node | None = None) -> Any:
    """``value`` with null for each empty list below ``x-`` keys, and elsewhere with ``everything``, in place.

    So Docker Compose prints them as JSON: an empty list stays one only where repeats are looked for (``node``).
    """
    if isinstance(value, dict):
        for key, item in value.items():
            inner = everything or key.startswith("x-")
            value[key] = null_lists(item, everything=inner, node=child(node, key))
    elif isinstance(value, list):
        if not value:
            return None if everything and (node is None or None not in node) else value
        for index, item in enumerate(value):
            value[index] = null_lists(item, everything=everything, node=child(node, "[]"))
    return value


def kept_lists() -> Node:
    """The places where `null_lists` leaves an empty list alone."""
    result = rules(unique.RULES)
    service: Node = result["services"]["*"]
    del service["environment"], service["build"]["args"]
    return result


def _with(**defaults: Any) -> Callable[[Any, Path], Any]:
    def rule(value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            for key, item in defaults.items():
                value.setdefault(key, item)
        return value
    return rule


def _secret_target(value: Any, path: Path) -> Any:
    if isinstance(value, dict):
        value.setdefault("target", f"/run/secrets/{text(value.get('source'))}")
    return value


def _device_count(value: Any, path: Path) -> Any:
    if isinstance(value, dict) and "count" not in value and "device_ids" not in value:
        value["count"] = "all"
    return value


_DEFAULTS = rules({
    "services.*.build": _with(context="."),
    "services.*.secrets.*": _secret_target,
    "services.*.ports.*": _with(protocol="tcp", mode="ingress"),
    "services.*.deploy.resources.reservations.devices.*": _device_count,
    "services.*.gpus.*": _device_count,
})
