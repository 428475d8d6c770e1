"""The drivers of one host, held to the contract."""

from __future__ import annotations

import pytest

from solva.networks.drivers.base import NetworkDriver
from solva.networks.drivers.bridge import BridgeDriver
from solva.networks.drivers.host import HostDriver
from solva.networks.drivers.none import NoneDriver
from solva.networks.host import Host
from suites.drivers import DriverSuite

pytestmark = pytest.mark.root


class TestBridge(DriverSuite):
    def make(self, host: Host) -> NetworkDriver:
        return BridgeDriver(host)


class TestHost(DriverSuite):
    interface = False

    def make(self, host: Host) -> NetworkDriver:
        return HostDriver(host)


class TestNone(DriverSuite):
    interface = False

    def make(self, host: Host) -> NetworkDriver:
        return NoneDriver(host)
