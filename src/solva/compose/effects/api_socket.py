"""``use_api_socket``: the engine's socket in the container, with the user's registry credentials.

As Docker Compose does it: the service gets a bind, a config and a variable, so its hash is Docker Compose's.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.compose.project import Project, Service

_SOCKET = "/var/run/docker.sock"
_CONFIG = "#apisocket"


def with_api_socket(project: Project, credentials: str) -> Project:
    """``project`` with what `use_api_socket` asks for. ``credentials``: a config.json."""
    wanted = {name for name, service in project.services.items() if service.get("use_api_socket")}
    if not wanted:
        return project
    return project.replace(
        configs={**project.configs, _CONFIG: {"name": _CONFIG, "content": credentials}},
        services={name: _extended(service) if name in wanted else service
                  for name, service in project.services.items()})


def _extended(service: Service) -> Service:
    environment = dict(service.get("environment") or {})
    environment.setdefault("DOCKER_CONFIG", "/run/secrets/docker")
    return service.with_(
        volumes=[*(service.get("volumes") or ()), {"type": "bind", "source": _SOCKET, "target": _SOCKET}],
        environment=environment,
        configs=[*(service.get("configs") or ()), {"source": _CONFIG, "target": "/run/secrets/docker/config.json"}])
