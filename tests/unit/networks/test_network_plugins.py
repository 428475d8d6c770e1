"""The finder of network plugins; hosts of the cluster, as drivers are told of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from solva.networks.plugins import NetworkPlugins
from solva.plugins.finder import Plugins, Settings
from support.fakeplugin import FakePlugin, capable, served


def test_hosts_are_told(tmp_path: Path) -> None:
    """All when a driver is first used, then what changes; a plugin that does not know the method is left alone."""
    hosts = {"a": "10.0.0.1", "b": "10.0.0.2"}
    no_host: Any = None

    async def body() -> None:
        plugin = FakePlugin(**{"Plugin.Activate": capable("NetworkDriver"), "NetworkDriver.DiscoverNew": {},
                               "NetworkDriver.DiscoverDelete": {"Err": "no"},
                               "NetworkDriver.GetCapabilities": {"Scope": "global"}})
        async with served(plugin, tmp_path / "far.sock"):
            found = NetworkPlugins(no_host, Plugins(Settings((str(tmp_path),), 5)), lambda: hosts, "b")
            assert await found.driver("nosuch") is None
            driver = await found.driver("far")
            assert driver is not None
            assert driver.traits.scope == "global"
            await found.tell()      # after what driver() has begun
            hosts["a"] = "10.0.0.9"
            hosts["c"] = "10.0.0.3"
            await found.tell()
            del hosts["b"]
            await found.tell()
            await found.close()

        def data(address: str, own: bool = False) -> dict[str, Any]:
            return {"DiscoveryType": 1, "DiscoveryData": {"Address": address, "BindAddress": address, "Self": own}}

        assert [call for call in plugin.calls if "Discover" in call[0]] == [
            ("NetworkDriver.DiscoverNew", data("10.0.0.1")), ("NetworkDriver.DiscoverNew", data("10.0.0.2", True)),
            ("NetworkDriver.DiscoverDelete", data("10.0.0.1")), ("NetworkDriver.DiscoverNew", data("10.0.0.9")),
            ("NetworkDriver.DiscoverNew", data("10.0.0.3")), ("NetworkDriver.DiscoverDelete", data("10.0.0.2", True))]

    asyncio.run(body())
