"""Networks on the wire (API v1.51): what a client sends. Answers are plain dicts built by ``networks/views.py``."""

from __future__ import annotations

import msgspec

from solva.api.types.container import EndpointSettings, wire_name

_NAMES = {"ipam": "IPAM", "ip_range": "IPRange", "enable_ipv4": "EnableIPv4", "enable_ipv6": "EnableIPv6",
          "endpoint_config": "EndpointConfig"}


def _wire(field: str) -> str:
    return _NAMES.get(field) or wire_name(field)


class IpamPool(msgspec.Struct, frozen=True, rename=_wire):
    """One subnet: CIDR texts and addresses; empty is "choose one"."""

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    auxiliary_addresses: dict[str, str] = {}


class Ipam(msgspec.Struct, frozen=True, rename=_wire):
    driver: str = ""
    options: dict[str, str] | None = None      # null stays null in inspect
    config: list[IpamPool] = []


class ConfigReference(msgspec.Struct, frozen=True, rename=_wire):
    network: str = ""


class NetworkCreate(msgspec.Struct, frozen=True, rename=_wire):
    """The body of POST /networks/create. ``CheckDuplicate`` of old clients is always true."""

    name: str = ""
    driver: str = ""
    scope: str = ""
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    ipam: Ipam = Ipam()
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: ConfigReference = ConfigReference()
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class NetworkConnect(msgspec.Struct, frozen=True, rename=_wire):
    """The body of POST /networks/{id}/connect."""

    container: str = ""
    endpoint_config: EndpointSettings | None = None


class NetworkDisconnect(msgspec.Struct, frozen=True, rename=_wire):
    """The body of POST /networks/{id}/disconnect."""

    container: str = ""
    force: bool = False
