"""What is said twice in a list: the later item stands, in the earlier one's place."""

from __future__ import annotations

from solva.compose.attributes.short import short_volume
from solva.compose.attributes.units import text
from solva.compose.load.tree import dotted, rules, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

    from solva.compose.load.tree import Path

    Key = Callable[[Any, Path], Hashable]


def enforce(content: dict[str, Any]) -> dict[str, Any]:
    """``content`` without repeats; changed in place. ValueError for an item that has no key."""
    result: dict[str, Any] = walk(content, PLACES)
    return result


def _by(key: Key) -> Callable[[Any, Path], Any]:
    def rule(value: Any, path: Path) -> Any:
        if not isinstance(value, list):
            return value
        found: dict[Hashable, Any] = {}
        for index, item in enumerate(value):
            found[key(item, (*path, index))] = item
        return list(found.values())
    return rule


def _name(item: Any, path: Path) -> Hashable:
    if not isinstance(item, str):
        raise ValueError(f"{dotted(path)}: unexpected type {kind(item)}")
    return item.partition("=")[0]


def kind(value: Any) -> str:
    """Go's name for the type of a value."""
    return {str: "string", int: "int", float: "float64", bool: "bool", list: "[]interface {}",
            dict: "map[string]interface {}"}.get(type(value), "<nil>")


def _volume(item: Any, path: Path) -> Hashable:
    if isinstance(item, dict):
        if not isinstance(item.get("target"), str):
            raise ValueError(f"service volume {dotted(path)} is missing a mount target")
        return str(item["target"])
    return str(short_volume(item).get("target", "")) if isinstance(item, str) else ""


def _device(item: Any, path: Path) -> Hashable:
    if isinstance(item, dict):
        if not isinstance(item.get("target"), str):
            raise ValueError(f"service device {dotted(path)} is missing a mount target")
        return str(item["target"])
    parts = item.split(":") if isinstance(item, str) else [""]
    return parts[0] if len(parts) == 1 else parts[1]


def _expose(item: Any, path: Path) -> Hashable:
    if isinstance(item, bool) or not isinstance(item, str | int):
        raise ValueError(f"{dotted(path)}: unsupported expose value {text(item)}")
    return str(item)


def _mounted(default: str) -> Key:
    def key(item: Any, path: Path) -> Hashable:
        if isinstance(item, str):
            return f"{default}/{item}"
        if not isinstance(item, dict):
            raise ValueError(f"{dotted(path)}: unsupported value {text(item)}")
        target = item.get("target")
        return target if isinstance(target, str) else f"{default}/{text(item.get('source'))}"
    return key


def _port(item: Any, path: Path) -> Hashable:
    if isinstance(item, dict):
        if "target" not in item:
            raise ValueError(f"service ports {dotted(path)} is missing a target port")
        return (f"{item.get('host_ip', '0.0.0.0')}:{item.get('published')}:{item['target']}/"
                f"{item.get('protocol', 'tcp')}")
    return text(item) if isinstance(item, str | int) and not isinstance(item, bool) else ""


def _path(item: Any, path: Path) -> Hashable:
    if isinstance(item, dict):
        if not isinstance(item.get("path"), str):
            raise ValueError(f"environment path attribute {dotted(path)} is missing")
        return str(item["path"])
    return item if isinstance(item, str) else ""


_NAMED = ("networks.*.labels", "networks.*.ipam.options", *(f"services.*.{name}" for name in (
    "annotations", "build.args", "build.additional_contexts", "build.tags", "build.labels", "cap_add", "cap_drop",
    "deploy.labels", "dns", "dns_opt", "dns_search", "environment", "labels", "links", "networks.*.aliases",
    "networks.*.link_local_ips", "profiles", "sysctls", "tmpfs")))
RULES = {
    **{place: _by(_name) for place in _NAMED},
    "services.*.configs": _by(_mounted("")),
    "services.*.devices": _by(_device),
    "services.*.env_file": _by(_path),
    "services.*.expose": _by(_expose),
    "services.*.ports": _by(_port),
    "services.*.secrets": _by(_mounted("/run/secrets")),
    "services.*.volumes": _by(_volume),
}
PLACES = rules(RULES)
