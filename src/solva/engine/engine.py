"""The composition root: every service made once, wired, started in order, and put behind the API."""

from __future__ import annotations

import grp
import logging
import os
import socket
from typing import TYPE_CHECKING, Any

from solva import __version__
from solva.build.service import BuildService
from solva.clock import SystemClock
from solva.cluster.membership import Membership
from solva.containers.core import Core
from solva.containers.core import Settings as ContainerSettings
from solva.containers.service import ContainerService
from solva.containers.steps import StepRunner
from solva.dns.client import NameService
from solva.engine import cluster
from solva.engine.system import Sources, System
from solva.events.bus import EventBus
from solva.explain.service import ExplainService
from solva.explain.service import Sources as ExplainSources
from solva.ids import new_id
from solva.images.service import ImageService
from solva.networks.drivers.cni import CniDriver
from solva.networks.drivers.overlay import OverlayDriver
from solva.networks.host import Host
from solva.networks.ipam.subnets import PoolSource
from solva.networks.model import DnsConfig
from solva.networks.plugins import NetworkPlugins
from solva.networks.service import NetworkService, NetworkSettings
from solva.plugins.cni import Runner
from solva.plugins.finder import Plugins
from solva.registry.config import RegistryConfig
from solva.runtimes import cgroups
from solva.runtimes.crun import CRUN, Crun
from solva.server.app import App
from solva.server.backend import Backends
from solva.server.routes import all_routes
from solva.snapshots.content import ContentStore
from solva.snapshots.layers import LayerStore
from solva.snapshots.overlay import Snapshotter
from solva.store.sqlite import Store
from solva.volumes.service import VolumeService

if TYPE_CHECKING:
    from solva.engine.config import Config

log = logging.getLogger("solva.engine")
GROUP = "solva"  # its members may use the socket, where the group exists
Json = dict[str, Any]


class Engine:
    """``start`` adopts what runs, repairs what differs, and only then opens the socket; ``stop`` leaves containers."""

    def __init__(self, config: Config) -> None:
        self._config = config
        clock = SystemClock()
        data, run = config.data_root, config.run_root
        self._spawner = cgroups.prepare(run, data)
        self._store = Store(data / "state.db")
        self.bus = EventBus(clock)
        self._names = NameService(run, log_queries=config.dns_query_log)
        self.content = ContentStore(data / "content")
        self.layers = LayerStore(data / "snapshots", self._store)
        self.snapshots = Snapshotter(data / "snapshots", self._store, self.layers, self.content)
        self._registries = registries = RegistryConfig(
            {host: list(urls) for host, urls in config.mirrors.items()}, frozenset(config.insecure_registries))
        self.images = ImageService(self._store, self.bus, clock, self.content, self.layers, self.snapshots, registries)
        plugins = Plugins(config.plugins)
        self.volumes = VolumeService(data / "volumes", self._store, self.bus, clock, plugins)
        pools = tuple(PoolSource(pool.base, pool.size) for pool in config.address_pools)
        dns = DnsConfig(config.dns, config.dns_search, config.dns_options)
        membership = self._membership()
        self.networks = NetworkService(self._store, self.bus, clock, self._names, run,
                                       NetworkSettings(config.bip, pools, dns),
                                       plugins=lambda host: self._network_plugins(host, plugins, membership),
                                       extra=[lambda host: CniDriver(host, Runner(config.plugins.timeout)),
                                              lambda host: OverlayDriver(host, membership)])
        self._runtime = Crun(self._spawner, run)
        core = Core(ContainerSettings(data, run, config.stop_deaf), self._store, self.bus, clock, self._runtime,
                    self.networks, self.snapshots, self.images, self.volumes)
        self.containers = ContainerService(core)
        self.builder = BuildService(data / "build", self._store, self.snapshots, self.images,
                                    StepRunner(core), clock,
                                    lambda chain: self.layers.layer(chain) is not None)
        self.layers.hold(self.builder.chains)
        self.builder.collect = self.images.collect
        self.builder.image_chains = self._image_chains
        self.images.apply_changes = _apply_changes
        self.images.in_use = self.containers.of_image
        self.images.running = self.containers.running_of_image
        self.volumes.in_use = self.containers.of_volume
        self.system = System(config, self.bus, clock, self._identity(), self._sources())
        self._explain = ExplainService(ExplainSources(run, data, self._names, core.registry, self.networks))
        self._own_socket = False
        self._app = App(all_routes(self._backends()), __version__)

    def _membership(self) -> Membership | None:
        if self._config.cluster is None:
            return None
        return Membership(self._config.run_root, cluster.resolve(
            self._config.cluster, self._identity(), self._config.data_root))

    def _network_plugins(self, host: Host, plugins: Plugins, membership: Membership | None) -> NetworkPlugins:
        if membership is None:
            self._told = NetworkPlugins(host, plugins)
        else:
            state = membership.state
            self._told = NetworkPlugins(host, plugins, lambda: {key: row.address for key, row in state.hosts.items()},
                                        membership.config.host)
        self._cluster = membership
        return self._told

    def _tell_hosts(self) -> None:
        """Plugins hear of the cluster's hosts as soon as the overlay driver does."""
        if self._cluster is not None:
            before, told = self._cluster.changed, self._told

            def changed() -> None:
                before()
                told.moved()

            self._cluster.changed = changed
            told.moved()

    def _image_chains(self) -> set[str]:
        images = self.images.store
        return {chain for identifier in images.ids() for chain in images.chain(identifier)}

    def _backends(self) -> Backends:
        return Backends(self.containers, self.images, self.networks, self.volumes, self.builder, self.system,
                        self._explain)

    def _identity(self) -> str:
        path = self._config.data_root / "engine-id"
        if not path.exists():
            path.write_text(new_id())
        return path.read_text().strip()

    def _sources(self) -> Sources:
        async def containers() -> list[Json]:
            return await self.containers.list(all=True, limit=-1, size=True, filters={})

        async def images() -> list[Json]:
            return await self.images.list({}, all=False, shared_size=True)

        async def layers() -> int:
            return self.layers.total()

        async def volumes() -> list[Json]:
            return await self.volumes.usage_rows()

        async def log_in(body: Json) -> Json:
            from solva.registry.login import log_in

            return await log_in(body, self._registries)

        async def cache() -> list[Json]:
            return self.builder.usage()

        return Sources(
            container_states=self.containers.counts, container_rows=containers, image_rows=images, layers_size=layers,
volume_rows=volumes, cache_rows=cache, log_in=log_in, network_drivers=self.networks.drivers,
            volume_drivers=self.volumes.drivers, runtime_version=self._runtime_version,
            warnings=list, cgroup_version=lambda: "2" if self._spawner.layout.version == 2 else "1")

    async def _runtime_version(self) -> str:
        done = await self._spawner.run([CRUN, "--version"])
        return done.stdout.decode(errors="replace").partition("\n")[0].removeprefix("crun version ").strip()

    async def start(self, passed: list[int]) -> None:
        """``passed``: listening sockets from the service manager."""
        self.layers.start()
        await self.snapshots.start()
        await self._names.start()
        await self.networks.start()
        self._tell_hosts()
        await self.volumes.start()
        await self.builder.start()
        await self.containers.start_service()
        await self.images.start()
        for fd in passed:
            os.set_inheritable(fd, False)
            sock = socket.socket(fileno=fd)
            if sock.family == socket.AF_UNIX and _group() is not None:
                os.chown(sock.getsockname(), 0, _group() or 0)     # systemd knows no "where that group exists"
                os.chmod(sock.getsockname(), 0o660)
            await self._app.listen(sock)
        if not passed:
            await self._app.listen_unix(self._config.socket, _group())
            self._own_socket = True

    async def stop(self) -> None:
        """Answer what is under way, then let go; nothing of a container ends."""
        await self._app.close()
        await self.containers.stop_service()
        await self._told.close()
        await self.networks.stop()
        await self._names.stop()
        self._spawner.close()
        self._store.close()
        if self._own_socket:      # systemd's stays: it goes on listening there
            self._config.socket.unlink(missing_ok=True)


def _group() -> int | None:
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


def _apply_changes(config: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """Dockerfile lines of ``commit`` and ``import``; the parser is imported at the first use."""
    from solva.build.changes import apply_changes

    return apply_changes(config, changes)
