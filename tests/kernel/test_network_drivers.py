"""The drivers of one host, held to the contract."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from solva.kernel import links
from solva.kernel.netlink import Netlink
from solva.networks.drivers.base import NetworkDriver
from solva.networks.drivers.bridge import BridgeDriver
from solva.networks.drivers.cni import CniDriver
from solva.networks.drivers.host import HostDriver
from solva.networks.drivers.ipvlan import IpvlanDriver
from solva.networks.drivers.macvlan import MacvlanDriver
from solva.networks.drivers.none import NoneDriver
from solva.networks.drivers.remote import RemoteDriver
from solva.networks.host import Host
from solva.plugins.cni import Runner
from solva.plugins.finder import Plugins, Settings
from solva.plugins.network import Capabilities
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


class TestPlugin(DriverSuite):
    """The example plugin behind the remote driver."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        self.where: Path = tmp_path_factory.mktemp("plugins")
        self.process: subprocess.Popen[bytes] | None = None
        yield
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def prepare(self, kernel: Netlink) -> None:
        program = Path(__file__).parents[2] / "examples/network-plugin/plugin.py"
        self.process = subprocess.Popen([sys.executable, program, self.where / "lan.sock"],
                                        stdout=subprocess.DEVNULL)      # in the namespace of this thread
        deadline = time.monotonic() + 30
        while not (self.where / "lan.sock").exists():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def make(self, host: Host) -> NetworkDriver:
        return RemoteDriver(host, Plugins(Settings((str(self.where),), 10)), "lan", Capabilities(Scope="local"))


class TestCni(DriverSuite):
    """Debian's ptp, with host-local addresses and portmap behind it."""

    pools = ()

    @pytest.fixture(autouse=True)
    def conf(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        if not Path("/usr/lib/cni/ptp").exists():
            pytest.skip("containernetworking-plugins is not installed")
        folder = tmp_path_factory.mktemp("cni")
        file = folder / "net.conflist"
        file.write_text(json.dumps({"cniVersion": "0.4.0", "name": "suite", "plugins": [
            {"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.88.0.0/24", "dataDir": str(folder / "leases"),
                                     "routes": [{"dst": "0.0.0.0/0"}]}, "capabilities": {"mac": True}},
            {"type": "tuning", "capabilities": {"mac": True}}]}))
        self.options = {"conf": str(file)}

    def make(self, host: Host) -> NetworkDriver:
        return CniDriver(host, Runner(30))


class TestMacvlan(DriverSuite):
    options = {"parent": "lan0"}        # noqa: RUF012

    def prepare(self, kernel: Netlink) -> None:
        kernel.execute([links.add_pair("lan0", "lan1")])

    def make(self, host: Host) -> NetworkDriver:
        return MacvlanDriver(host)


class TestMacvlanWithoutParent(DriverSuite):
    def make(self, host: Host) -> NetworkDriver:
        return MacvlanDriver(host)


class TestMacvlanWithHostAccess(TestMacvlan):
    options = {"parent": "lan0", "solva.host_access": "true"}        # noqa: RUF012


class TestIpvlan(DriverSuite):
    options = {"parent": "lan0"}        # noqa: RUF012

    def prepare(self, kernel: Netlink) -> None:
        kernel.execute([links.add_pair("lan0", "lan1")])
        lan0 = links.get_link(kernel, "lan0")
        assert lan0 is not None
        try:
            kernel.execute([links.add_child("ipvlan", "probe", parent=lan0.index,
                                            data=links.ipvlan_data("l2", "bridge"))])
        except OSError as error:
            pytest.skip(f"this kernel: {error}")
        kernel.execute([links.delete_link("probe")])

    def make(self, host: Host) -> NetworkDriver:
        return IpvlanDriver(host)
