"""How a later file's value meets an earlier one's, as written: mappings recursively, lists appended, the rest replaced.

Some places have rules of their own: ``KEY=VALUE`` lists and mappings are made lists and appended, ``command`` is
replaced, options of a log driver only meet options of the same driver ... What is then said twice in a list,
`load.unique` sorts out.
"""

from __future__ import annotations

from solva.compose.attributes.units import text
from solva.compose.errors import ComposeError
from solva.compose.load.tree import child, dotted, rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.load.tree import Node, Path


def merge_files(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Two files' contents; ``base`` is changed and returned."""
    result: dict[str, Any] = merge_value(base, over, PLACES, ())
    return result


def merge_service(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Two services (``extends``); ``base`` is changed and returned."""
    result: dict[str, Any] = merge_value(base, over, PLACES["services"]["*"], ("services", "x"))
    return result


def merge_value(base: Any, over: Any, node: Node | None, path: Path) -> Any:
    """The value at one place. ComposeError when a mapping or a list meets something else."""
    rule = node.get(None) if node is not None else None
    if rule is not None:
        return rule(base, over, node, path)
    if over is None:
        return base
    if isinstance(base, dict):
        if not isinstance(over, dict):
            raise ComposeError(f"cannot override {dotted(path)}")
        return merge_mappings(base, over, node, path)
    if isinstance(base, list):
        if not isinstance(over, list):
            raise ComposeError(f"cannot override {dotted(path)}")
        return base + over
    return over


def merge_mappings(base: dict[str, Any], over: dict[str, Any], node: Node | None, path: Path) -> dict[str, Any]:
    """Key by key."""
    for key, value in over.items():
        base[key] = merge_value(base[key], value, child(node, key), (*path, key)) if key in base else value
    return base


def sequence(value: Any) -> list[Any]:
    """A mapping as sorted ``KEY=VALUE`` items, a list as it is, a string as a list of one."""
    if isinstance(value, dict):
        items: list[str] = []
        for key, item in value.items():
            if item is None:
                items.append(key)
            elif isinstance(item, list):
                items += [f"{key}={text(part)}" for part in item]
            else:
                items.append(f"{key}={text(item)}")
        return sorted(items)
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, str) else []


def appended(base: Any, over: Any, node: Node, path: Path) -> Any:
    return sequence(base) + sequence(over)


def hosts(base: Any, over: Any, node: Node, path: Path) -> Any:
    first = sequence(base)
    return first + [item for item in sequence(over) if item not in first]


def replaced(base: Any, over: Any, node: Node, path: Path) -> Any:
    return over


def build(base: Any, over: Any, node: Node, path: Path) -> Any:
    """A string is a context."""
    first, second = ({"context": item} if isinstance(item, str) else item or {} for item in (base, over))
    return merge_mappings(first, second, node, path)


def depends_on(base: Any, over: Any, node: Node, path: Path) -> Any:
    first, second = (_named(item, {"condition": "service_started", "required": True}) for item in (base, over))
    return merge_mappings(first, second, node, path)


def named(base: Any, over: Any, node: Node, path: Path) -> Any:
    """Lists of names are mappings without values."""
    return merge_mappings(_named(base, None), _named(over, None), node, path)


def _named(value: Any, default: dict[str, Any] | None) -> dict[str, Any]:
    if isinstance(value, list):
        return {item: None if default is None else dict(default) for item in value}
    return value if isinstance(value, dict) else {}


def logging(base: Any, over: Any, node: Node, path: Path) -> Any:
    """Options are another driver's business when the driver changes."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return base if over is None else over
    if "driver" not in base or "driver" not in over or base["driver"] == over["driver"]:
        return merge_mappings(base, over, node, path)
    return over


def ipam(base: Any, over: Any, node: Node, path: Path) -> Any:
    """Pools of the same subnet are merged."""
    if not isinstance(base, list) or not isinstance(over, list):
        raise ComposeError(f"{dotted(path)}: unexpected type")
    pools: list[dict[str, Any]] = []
    for first in base:
        for second in over:
            if second.get("subnet") != first.get("subnet") and not any(
                    pool.get("subnet") == second.get("subnet") for pool in pools):
                pools.append(second)
                continue
            merged = merge_mappings(first, second, None, path)
            same = [index for index, pool in enumerate(pools) if pool.get("subnet") == merged.get("subnet")]
            if same:
                pools[same[0]] = merged
            else:
                pools.append(merged)
    return pools


PLACES = rules({
    "networks.*.ipam.config": ipam,
    "networks.*.labels": appended,
    "volumes.*.labels": appended,
    "services.*.annotations": appended,
    "services.*.build": build,
    "services.*.build.args": appended,
    "services.*.build.additional_contexts": appended,
    "services.*.build.extra_hosts": hosts,
    "services.*.build.labels": appended,
    "services.*.command": replaced,
    "services.*.depends_on": depends_on,
    "services.*.deploy.labels": appended,
    "services.*.dns": appended,
    "services.*.dns_opt": appended,
    "services.*.dns_search": appended,
    "services.*.entrypoint": replaced,
    "services.*.env_file": appended,
    "services.*.label_file": appended,
    "services.*.environment": appended,
    "services.*.extra_hosts": hosts,
    "services.*.healthcheck.test": replaced,
    "services.*.labels": appended,
    "services.*.volumes.*.volume.labels": appended,
    "services.*.logging": logging,
    "services.*.models": named,
    "services.*.networks": named,
    "services.*.sysctls": appended,
    "services.*.tmpfs": appended,
    "services.*.ulimits.*": replaced,
})
