"""What the schema cannot say of the canonical content of a file."""

from __future__ import annotations

from solva.compose.attributes.short import is_address
from solva.compose.load.tree import dotted, rules, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.compose.load.tree import Path


def check(content: dict[str, Any]) -> None:
    """Misfit for the first contradiction."""
    walk(content, _PLACES)


def _volume(value: Any, path: Path) -> Any:
    if isinstance(value, dict) and value.get("external") is True:
        for key in value:
            if key not in ("name", "external") and not key.startswith("x-"):
                raise ValueError(f'{dotted(path)}: conflicting parameters "external" and "{key}" specified')
    return value


def _file_object(*keys: str) -> Callable[[Any, Path], Any]:
    def rule(value: Any, path: Path) -> Any:
        given = [key for key in keys if key in value]
        if len(given) > 1:
            raise ValueError(f"{dotted(path)}: {'|'.join(keys)} attributes are mutually exclusive")
        if not given and "driver" not in value and "external" not in value:
            raise ValueError(f"{dotted(path)}: one of {'|'.join(keys)} must be set")
        return value
    return rule


def _address(value: Any, path: Path) -> Any:
    if isinstance(value, dict) and "host_ip" in value and not is_address(value["host_ip"]):
        raise ValueError(f"{dotted(path)}: invalid ip address: {value['host_ip']}")
    return value


def _not_blank(value: Any, path: Path) -> Any:
    if value == "":
        raise ValueError(f"{dotted(path)}: value can't be blank")
    return value


def _device_request(value: Any, path: Path) -> Any:
    if "count" in value and "device_ids" in value:
        raise ValueError(f'{dotted(path)}: "count" and "device_ids" attributes are exclusive')
    return value


_PLACES = rules({
    "volumes.*": _volume,
    "configs.*": _file_object("file", "environment", "content"),
    "secrets.*": _file_object("file", "environment"),
    "services.*.ports.*": _address,
    "services.*.develop.watch.*.path": _not_blank,
    "services.*.deploy.resources.reservations.devices.*": _device_request,
    "services.*.gpus.*": _device_request,
})
