"""The configuration hash of a service, network or volume: equal to real Docker Compose's, byte for byte.

So a project brought up by one is unchanged for the other. The text hashed is Go's JSON of Compose's model: fields in
the model's order, mappings sorted, empty values left out, ``< > &`` escaped.
"""

from __future__ import annotations

from solva.compose.render import go_json, json_network, ordered_network, ordered_service, ordered_volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from solva.compose.project import Service

_NOT_HASHED = ("build", "pull_policy", "scale", "depends_on", "profiles")


def service_hash(service: Service) -> str:
    """Changes when a container of ``service`` has to be made anew."""
    config = {key: value for key, value in service.config.items() if key not in _NOT_HASHED}
    if config.get("volumes_from"):
        config["volumes_from"] = [item.removeprefix("container:") for item in config["volumes_from"]]
    if config.get("deploy"):
        config["deploy"] = {key: value for key, value in config["deploy"].items() if key != "replicas"}
    return _digest(ordered_service(config, as_json=True))


def network_hash(config: Mapping[str, Any]) -> str:
    """Changes when the network has to be made anew."""
    return _digest(json_network(ordered_network(config)))


def volume_hash(config: Mapping[str, Any]) -> str:
    """Changes when the volume no longer is what the file says."""
    return _digest(ordered_volume({**config, "driver": config.get("driver") or "local"}))


def _digest(value: Any) -> str:
    from hashlib import sha256

    return sha256(go_json(value).encode()).hexdigest()
