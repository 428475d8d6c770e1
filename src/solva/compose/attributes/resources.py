"""The attributes of networks, volumes, secrets, configs and models."""

from __future__ import annotations

from solva.compose.attributes import convert as to
from solva.compose.attributes.row import Attribute

_POOL = to.record({"subnet": to.string, "gateway": to.string, "ip_range": to.string, "aux_addresses": to.labels},
                  extensions=False)
A = Attribute


def _rows(*rows: Attribute) -> dict[str, Attribute]:
    return {row.name: row for row in rows}


_SWARM = "of Swarm; a single engine has no use for it, `up` refuses it"
NETWORK = _rows(
    A("name"),
    A("driver"),
    A("driver_opts", to.options),
    A("ipam", to.record({"driver": to.string, "config": to.items(_POOL), "options": to.labels})),
    A("external", to.boolean, note="must exist already"),
    A("internal", to.boolean),
    A("attachable", to.boolean),
    A("labels", to.labels),
    A("enable_ipv4", to.boolean),
    A("enable_ipv6", to.boolean),
)
VOLUME = _rows(
    A("name"),
    A("driver"),
    A("driver_opts", to.options),
    A("external", to.boolean, note="must exist already"),
    A("labels", to.labels),
)
SECRET = _rows(
    A("name", note="for messages"),
    A("file"),
    A("environment"),
    A("content"),
    A("external", to.boolean, note=_SWARM),
    A("labels", to.labels, note=_SWARM),
    A("driver", note=_SWARM),
    A("driver_opts", to.plain_options, note=_SWARM),
    A("template_driver", note=_SWARM),
)
CONFIG = SECRET
MODEL = _rows(
    A("name", note="for messages"),
    A("model"),
    A("context_size", to.integer),
    A("runtime_flags", to.strings),
)
SECTIONS: dict[str, dict[str, Attribute]] = {
    "networks": NETWORK, "volumes": VOLUME, "secrets": SECRET, "configs": CONFIG, "models": MODEL,
}
