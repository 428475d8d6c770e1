"""Drivers and address management by name: built in, brought by a driver, or found as a plugin when first asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from solva.errors import NotFound, SolvaError, SystemFailure
from solva.networks.drivers import DRIVERS
from solva.networks.drivers.base import (
    BringsIpam,
    DriverNetwork,
    Interface,
    NetworkDriver,
    Networks,
    PluginFinder,
    Runs,
    Traits,
)
from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.host import Host
from solva.networks.ipam.base import Ipam, PoolRequest
from solva.networks.ipam.null import NullIpam
from solva.networks.model import Endpoint, Network, Pool, Sandbox
from solva.networks.namespace import Namespace

_log = logging.getLogger(__name__)


ALIASES = {"overlay2": "overlay"}
"""Drivers by names that are not theirs: overlay2 is a storage driver, and often written for the other."""


class Registry:
    """``extra``: drivers that need more than the host, given by the engine (overlay). One a name."""

    def __init__(self, host: Host, default: Ipam, plugins: PluginFinder, extra: Iterable[NetworkDriver] = ()) -> None:
        self._plugins = plugins
        self._drivers: dict[str, NetworkDriver] = {name: make(host) for name, make in DRIVERS.items()}
        self._drivers |= {driver.name: driver for driver in extra}
        self._null = NullIpam()
        self._ipams: dict[str, Ipam] = {default.name: default, self._null.name: self._null}
        self._default = default
        self._absent: set[str] = set()      # drivers whose plugin was not there

    def driver(self, name: str) -> NetworkDriver:
        """One that is known already: every network's is. NotFound in Docker's words."""
        try:
            return self._drivers[name]
        except KeyError:
            raise NotFound(f'plugin "{name}" not found') from None

    def names(self) -> list[str]:
        """Of the drivers known."""
        return sorted(self._drivers)

    async def find_driver(self, name: str) -> NetworkDriver:
        """Built in or a plugin. NotFound; whatever the plugin says when it does not answer."""
        name = ALIASES.get(name, name)
        if name not in self._drivers or name in self._absent:
            found = await self._plugins.driver(name)
            if found is not None:
                self._drivers[name] = found
                self._absent.discard(name)
            elif name in self._absent:
                raise NotFound(f'plugin "{name}" not found')
        return self.driver(name)

    async def expect_driver(self, name: str) -> NetworkDriver:
        """For a network of the store: one whose plugin is not there now is kept, and looked for again when used."""
        try:
            return await self.find_driver(name)
        except SolvaError as error:
            _log.warning("network driver %s: %s", name, error)
            if name not in self._drivers:
                self._drivers[name] = self._plugins.stand_in(name) or Missing(name)
            self._absent.add(name)
            return self._drivers[name]

    async def ready(self, record: Network) -> NetworkDriver:
        """The network's driver, and its address management, looked for again if their plugins were not there."""
        if record.driver in self._absent:
            await self.expect_driver(record.driver)
        if record.ipam_driver not in self._ipams:
            await self.expect_ipam(record.ipam_driver)
        return self.driver(record.driver)

    def ipam(self, record: Network) -> Ipam:
        """Of a network: the one named, else the driver's own. One that is not there now fails when it is used."""
        name = record.ipam_driver
        if name == self._default.name:
            driver = self._drivers.get(record.driver)
            if driver is not None and not driver.traits.addresses:
                return self._null
            return driver.ipam if isinstance(driver, BringsIpam) else self._default
        return self._ipams.get(name) or MissingIpam(name)

    async def find_ipam(self, name: str) -> None:
        """Make sure of one that the user names. NotFound in Docker's words."""
        if name in ("", *self._ipams):
            return
        found = await self._plugins.ipam(name)
        if found is None:
            raise NotFound(f'plugin "{name}" not found')
        self._ipams[name] = found

    async def expect_ipam(self, name: str) -> None:
        """For a network of the store."""
        try:
            await self.find_ipam(name)
        except SolvaError as error:
            _log.warning("ipam driver %s: %s", name, error)

    async def start(self, networks: Networks) -> None:
        for driver in self._drivers.values():
            if isinstance(driver, Runs):
                await driver.start(networks)

    async def restored(self) -> None:
        for driver in self._drivers.values():
            if isinstance(driver, Runs):
                await driver.restored()

    async def stop(self) -> None:
        for driver in self._drivers.values():
            if isinstance(driver, Runs):
                await driver.stop()


class Missing:
    """Stands for a driver whose plugin is not there: its networks are listed, nothing joins, a removal only forgets."""

    traits = Traits(addresses=False)

    def __init__(self, name: str) -> None:
        self.name = name

    def parse(self, network: Network) -> DriverNetwork:
        return DriverNetwork(network)

    def conflict(self, net: DriverNetwork, other: DriverNetwork) -> str:
        return ""

    async def create_network(self, net: DriverNetwork) -> None:
        return

    async def delete_network(self, net: DriverNetwork) -> None:
        _log.warning("network %s is removed without its driver %s, which is not there", net.network.name, self.name)

    async def join(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox, inside: Namespace) -> Interface:
        raise NotFound(f'plugin "{self.name}" not found')

    async def leave(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None:
        _log.warning("sandbox %s leaves %s without its driver %s, which is not there", sandbox.id[:12],
                     net.network.name, self.name)

    async def restore(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> bool:
        return True

    def links(self, net: DriverNetwork) -> Sequence[str]:
        return ()

    def rules(self, net: DriverNetwork) -> BridgeRules | None:
        return None


class MissingIpam:
    """Stands for address management whose plugin is not there."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def allocate(self, request: PoolRequest) -> tuple[Pool, ...]:
        raise NotFound(f'plugin "{self.name}" not found')

    async def restore(self, network: Network) -> None:
        return

    async def forget(self, network: Network) -> None:
        _log.warning("pools of network %s are not given back: plugin %s is not there", network.name, self.name)

    async def take(self, network: Network, version: int, address: str = "", *, mac: str = "") -> tuple[str, int]:
        raise SystemFailure(f'plugin "{self.name}" not found')

    async def adopt(self, network: Network, version: int, address: str) -> None:
        return

    async def release(self, network: Network, address: str) -> None:
        return
