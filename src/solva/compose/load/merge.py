"""How a later file's value meets an earlier one's. Both are canonical; rules are the attributes' (``row.merge``).

merge: mappings recursively, lists appended, anything else replaced · override: replaced · unique: appended without
repeats · by target: list items with the same key are merged · logging: options only of the same driver.
"""

from __future__ import annotations

from solva.compose.attributes.resources import SECTIONS
from solva.compose.attributes.service import ATTRIBUTES
from solva.compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

    Path = tuple[str | int, ...]
    Key = Callable[[dict[str, Any]], Hashable]


def merge_files(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Two files' contents."""
    result = dict(base)
    for section, value in over.items():
        if section in ("services", *SECTIONS) and isinstance(result.get(section), dict) and value is not None:
            rows = ATTRIBUTES if section == "services" else SECTIONS[section]
            entries = dict(result[section])
            for name, entry in value.items():
                old = entries.get(name)
                entries[name] = merge_entry(rows, old, entry) if old is not None and entry is not None else (
                    entry if entry is not None else old)
            result[section] = entries
        elif section == "include" and isinstance(result.get("include"), list):
            result["include"] = result["include"] + value
        elif section in result and isinstance(value, dict) and isinstance(result[section], dict) \
                and not section.startswith("x-"):
            result[section] = merge_value(result[section], value, section)
        elif value is not None or section not in result:
            result[section] = value
    return result


def merge_service(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Two services (``extends``)."""
    return merge_entry(ATTRIBUTES, base, over)


def merge_entry(rows: dict[str, Any], base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for name, value in over.items():
        if name not in result or name.startswith("x-"):
            result[name] = value
            continue
        old = result[name]
        row = rows.get(name)
        rule = row.merge if row is not None else "merge"
        if value is None and rule != "override":
            continue
        if old is None:
            result[name] = value
            continue
        function = RULES.get(rule)
        result[name] = function(old, value) if function is not None else merge_value(old, value, name)
    return result


# Inside an attribute, by its last two names.
_INNER_OVERRIDE = frozenset((("healthcheck", "test"),))
_INNER_UNIQUE = frozenset((("build", "tags"), ("build", "cache_from"), ("build", "extra_hosts"), ("build", "platforms"),
                           ("*", "aliases"), ("*", "link_local_ips")))


def merge_value(base: Any, over: Any, name: str, parent: str = "") -> Any:
    """The general rule."""
    if isinstance(base, dict):
        if over is None:
            return base
        if not isinstance(over, dict):
            raise ComposeError(f"cannot override {name}")
        result = dict(base)
        for key, value in over.items():
            if key not in result or result[key] is None or key.startswith("x-") or (name, key) in _INNER_OVERRIDE:
                result[key] = value
            elif (name, key) in _INNER_UNIQUE or ("*", key) in _INNER_UNIQUE:
                result[key] = unique(result[key], value)
            else:
                result[key] = merge_value(result[key], value, key, name)
        return result
    if isinstance(base, list):
        if over is None:
            return base
        if not isinstance(over, list):
            raise ComposeError(f"cannot override {name}")
        return base + over
    return over


def override(base: Any, over: Any) -> Any:
    return over


def unique(base: list[Any], over: list[Any]) -> list[Any]:
    return list(dict.fromkeys([*base, *over]))


def keyed(key: Key) -> Callable[[list[dict[str, Any]], list[dict[str, Any]]], list[dict[str, Any]]]:
    """Lists whose items are told apart by ``key``: a later item replaces the earlier in its place."""
    def rule(base: list[dict[str, Any]], over: list[dict[str, Any]]) -> list[dict[str, Any]]:
        result: dict[Hashable, dict[str, Any]] = {}
        for item in (*base, *over):
            result[key(item)] = item
        return list(result.values())
    return rule


def port_key(item: dict[str, Any]) -> Hashable:
    return (item.get("host_ip", ""), item.get("target"), item.get("published", ""), item.get("protocol", "tcp"))


def logging(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    if "driver" not in base or "driver" not in over or base["driver"] == over["driver"]:
        result: dict[str, Any] = merge_value(base, over, "logging")
        return result
    return over


def ulimits(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for name, value in over.items():
        old = result.get(name)
        result[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def ipam(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Pools of the same subnet are merged."""
    result: dict[str, Any] = {**base, **over}
    pools: dict[str, dict[str, Any]] = {}
    for pool in [*(base.get("config") or ()), *(over.get("config") or ())]:
        subnet = pool.get("subnet", "")
        pools[subnet] = merge_value(pools[subnet], pool, "config") if subnet in pools else pool
    if pools:
        result["config"] = list(pools.values())
    return result


RULES: dict[str, Callable[[Any, Any], Any]] = {
    "override": override,
    "unique": unique,
    "by target": keyed(lambda item: item.get("target", "")),
    "by target or source": keyed(lambda item: item.get("target") or item.get("source", "")),
    "by path": keyed(lambda item: item.get("path", "")),
    "ports": keyed(port_key),
    "logging": logging,
    "ulimits": ulimits,
    "ipam": ipam,
}


def once(content: dict[str, Any]) -> dict[str, Any]:
    """Repeats within one file's own lists, by the same rules."""
    services = content.get("services")
    if not services:
        return content
    result = {}
    for name, service in services.items():
        if service:
            service = dict(service)
            for attribute, value in service.items():
                row = ATTRIBUTES.get(attribute)
                if row is not None and isinstance(value, list) and row.merge in _LISTS:
                    service[attribute] = RULES[row.merge]([], value)
        result[name] = service
    return {**content, "services": result}


_LISTS = frozenset(("unique", "by target", "by target or source", "by path", "ports"))


def remove(content: Any, path: Path) -> Any:
    """``content`` without what stands at ``path`` (``!reset``, ``!override`` of a later file)."""
    if not path or not isinstance(content, dict) or path[0] not in content:
        return content
    if len(path) == 1:
        return {key: value for key, value in content.items() if key != path[0]}
    return {**content, path[0]: remove(content[path[0]], path[1:])}
