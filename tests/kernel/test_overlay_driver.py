"""The overlay driver held to the contract of drivers, with an etcd and an agent in the test's own namespace."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from solva.cluster.files import Config
from solva.cluster.membership import Membership
from solva.kernel import links
from solva.kernel.netlink import Netlink
from solva.networks.drivers.base import NetworkDriver
from solva.networks.drivers.overlay import OverlayDriver
from solva.networks.host import Host
from solva.networks.model import Network
from suites.drivers import DriverSuite
from support.cluster import missing_cluster, until

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing_cluster()), reason=missing_cluster())]
ADDRESS = "192.0.2.1"


class Standing(OverlayDriver):
    """Its membership begins with the network and ends with it; the engine's part is not needed here."""

    def __init__(self, host: Host, membership: Membership) -> None:
        super().__init__(host, membership)
        self._own = membership

    async def allocate_network(self, record: Network) -> Network:
        await self._own.start()
        return await super().allocate_network(record)

    async def free_network(self, record: Network) -> None:
        try:
            await super().free_network(record)
        finally:
            await self._own.stop()


class TestOverlay(DriverSuite):
    @pytest.fixture(autouse=True)
    def store(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        self.folder = tmp_path_factory.mktemp("etcd")
        self.process: subprocess.Popen[bytes] | None = None
        yield
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def prepare(self, kernel: Netlink) -> None:
        kernel.execute([links.add_address(1, ADDRESS, 32)])
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(["etcd", "--data-dir", str(self.folder / "data")], stdout=log, stderr=log)
        until(self._answers, "etcd answers")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen("http://127.0.0.1:2379/health", timeout=2) as answer:
                return b"true" in answer.read()
        except OSError:
            return False

    def make(self, host: Host) -> NetworkDriver:
        config = Config(servers=(("127.0.0.1", 2379),), host="suite", address=ADDRESS, mtu=1500, name="suite", lease=10,
                        port=4789)
        return Standing(host, Membership(Path(host.run), config))

    def network(self) -> Network:
        return replace(super().network(), attachable=True)
