"""The network drivers by the name they have in the API. A new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable

from solva.networks.drivers.base import NetworkDriver
from solva.networks.drivers.bridge import BridgeDriver
from solva.networks.drivers.host import HostDriver
from solva.networks.drivers.ipvlan import IpvlanDriver
from solva.networks.drivers.macvlan import MacvlanDriver
from solva.networks.drivers.none import NoneDriver
from solva.networks.host import Host

DRIVERS: dict[str, Callable[[Host], NetworkDriver]] = {
    "bridge": BridgeDriver,
    "host": HostDriver,
    "null": NoneDriver,
    "macvlan": MacvlanDriver,
    "ipvlan": IpvlanDriver,
}
