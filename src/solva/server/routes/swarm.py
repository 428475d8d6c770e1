"""The swarm group, answered as by a Docker that is in no swarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solva.errors import NotImplementedHere, Unavailable
from solva.server.routing import Route

if TYPE_CHECKING:
    from solva.server.backend import Backends
    from solva.server.http import Request

NO_MANAGER = ('This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node '
              "to swarm and try again.")
_MANAGER = "503: answers as a Docker that is not a swarm manager"
_NEVER = "501: Solva has no swarm mode; overlay networks join engines through etcd instead"


class SwarmRoutes:
    """Swarm, nodes, services, tasks, secrets, configs."""

    def __init__(self, backends: Backends) -> None:
        pass

    def routes(self) -> list[Route]:
        single = [("GET", "/swarm"), ("GET", "/swarm/unlockkey"), ("POST", "/swarm/update"), ("POST", "/swarm/unlock")]
        for kind in ("nodes", "services", "tasks", "secrets", "configs"):
            single.append(("GET", f"/{kind}"))
            single.append(("GET", f"/{kind}/{{id}}"))
            if kind != "tasks":
                single += [("DELETE", f"/{kind}/{{id}}"), ("POST", f"/{kind}/{{id}}/update")]
            if kind in ("services", "secrets", "configs"):
                single.append(("POST", f"/{kind}/create"))
            if kind in ("services", "tasks"):
                single.append(("GET", f"/{kind}/{{id}}/logs"))
        return [
            *(Route(method, path, self.no_manager, absent=_MANAGER) for method, path in single),
            Route("POST", "/swarm/leave", self.no_member, absent=_MANAGER),
            Route("PUT", "/volumes/{name}", self.no_cluster_volumes, absent=_MANAGER),
            *(Route("POST", path, self.never, absent=_NEVER) for path in ("/swarm/init", "/swarm/join")),
        ]

    async def no_manager(self, request: Request) -> None:
        raise Unavailable(NO_MANAGER)

    async def no_member(self, request: Request) -> None:
        raise Unavailable("This node is not part of a swarm")

    async def no_cluster_volumes(self, request: Request) -> None:
        raise Unavailable("volume update only valid for cluster volumes, but swarm is unavailable")

    async def never(self, request: Request) -> None:
        raise NotImplementedHere(_NEVER.partition(": ")[2])
