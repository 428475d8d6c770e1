"""The attributes of networks, volumes, secrets, configs, models, and of the file itself."""

from __future__ import annotations

from solva.compose.attributes import convert as to
from solva.compose.attributes.row import Attribute
from solva.compose.attributes.service import SHAPE as SERVICE
from solva.compose.attributes.shapes import (
    BOOLEAN,
    LIST_OR_DICT,
    NAME,
    OPTIONS,
    STRING,
    STRING_OR_LIST,
    Either,
    Items,
    Record,
    Scalar,
    Table,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_EXTERNAL = Either(BOOLEAN, Record({"name": STRING}))
_TEXTS = Table(STRING, "^.+$")
_POOL = Record({"subnet": STRING, "ip_range": STRING, "gateway": STRING, "aux_addresses": _TEXTS})
A = Attribute


def _rows(*rows: Attribute) -> dict[str, Attribute]:
    return {row.name: row for row in rows}


NETWORK = _rows(
    A("name", STRING),
    A("driver", STRING),
    A("driver_opts", OPTIONS, to.options),
    A("ipam", Record({"driver": STRING, "config": Items(_POOL), "options": _TEXTS}), merge="ipam"),
    A("external", _EXTERNAL, to.external),
    A("internal", BOOLEAN),
    A("attachable", BOOLEAN),
    A("labels", LIST_OR_DICT, to.labels),
    A("enable_ipv4", BOOLEAN),
    A("enable_ipv6", BOOLEAN),
)
VOLUME = _rows(
    A("name", STRING),
    A("driver", STRING),
    A("driver_opts", OPTIONS, to.options),
    A("external", _EXTERNAL, to.external),
    A("labels", LIST_OR_DICT, to.labels),
)
SECRET = _rows(
    A("name", STRING),
    A("file", STRING, path="file"),
    A("environment", STRING),
    A("external", _EXTERNAL, to.external),
    A("labels", LIST_OR_DICT, to.labels),
    A("driver", STRING),
    A("driver_opts", OPTIONS, to.options),
    A("template_driver", STRING),
)
CONFIG = _rows(
    A("name", STRING),
    A("file", STRING, path="file"),
    A("environment", STRING),
    A("content", STRING),
    A("external", _EXTERNAL, to.external),
    A("labels", LIST_OR_DICT, to.labels),
    A("template_driver", STRING),
)
MODEL = _rows(
    A("name", STRING),
    A("model", STRING),
    A("context_size", Scalar("integer")),
    A("runtime_flags", Items(STRING)),
)
SECTIONS: dict[str, dict[str, Attribute]] = {
    "networks": NETWORK, "volumes": VOLUME, "secrets": SECRET, "configs": CONFIG, "models": MODEL,
}


def _shape(rows: dict[str, Attribute], required: tuple[str, ...] = ()) -> Record:
    return Record({row.name: row.shape for row in rows.values()}, required=required)


def _optional(record: Record) -> Any:
    return Either(Scalar("null"), record)


_INCLUDE = Items(Either(STRING, Record({"path": STRING_OR_LIST, "env_file": STRING_OR_LIST,
                                        "project_directory": STRING}, extensions=False)))
FILE = Record({
    "version": STRING,
    "name": STRING,
    "include": _INCLUDE,
    "services": Table(SERVICE, NAME),
    "models": Table(_shape(MODEL, ("model",)), NAME),
    "networks": Table(_optional(_shape(NETWORK)), NAME),
    "volumes": Table(_optional(_shape(VOLUME)), NAME),
    "secrets": Table(_shape(SECRET), NAME),
    "configs": Table(_shape(CONFIG), NAME),
})
