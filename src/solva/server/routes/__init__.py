"""The routes: one file a resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from solva.server.backend import Backends
    from solva.server.routing import Route


def all_routes(backends: Backends) -> list[Route]:
    """Every operation that is served."""
    from solva.server.routes.build import BuildRoutes
    from solva.server.routes.containers import ContainerRoutes
    from solva.server.routes.exec import ExecRoutes
    from solva.server.routes.images import ImageRoutes
    from solva.server.routes.networks import NetworkRoutes
    from solva.server.routes.solva import SolvaRoutes
    from solva.server.routes.swarm import SwarmRoutes
    from solva.server.routes.system import SystemRoutes
    from solva.server.routes.volumes import VolumeRoutes

    kinds = (SystemRoutes, ContainerRoutes, ExecRoutes, ImageRoutes, NetworkRoutes, VolumeRoutes, BuildRoutes,
             SwarmRoutes, SolvaRoutes)
    return [route for kind in kinds for route in kind(backends).routes()]
