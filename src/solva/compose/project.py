"""The project a plan is made for. Frozen: nothing after loading changes it; verbs derive narrower ones."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


class Service:
    """One service: its name and its canonical attributes (read-only)."""

    __slots__ = ("config", "name")

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "config", config)

    name: str
    config: Mapping[str, Any]

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"a Service is frozen: {key}")

    def __repr__(self) -> str:
        return f"Service({self.name!r})"

    def get(self, attribute: str, default: Any = None) -> Any:
        return self.config.get(attribute, default)

    @property
    def scale(self) -> int:
        """How many containers."""
        value = self.config.get("scale")
        if value is None:
            value = (self.config.get("deploy") or {}).get("replicas")
        return 1 if value is None else int(value)

    @property
    def depends_on(self) -> Mapping[str, Any]:
        return self.config.get("depends_on") or {}

    def image(self, project: str) -> str:
        """The image's name, given or made up."""
        return self.config.get("image") or f"{project}-{self.name}"

    def with_(self, **attributes: Any) -> Service:
        """A copy with other attributes; None takes one away."""
        config = {key: value for key, value in {**self.config, **attributes}.items() if value is not None}
        return Service(self.name, config)


class Project:
    """All that compose files say, for one project name."""

    __slots__ = ("configs", "disabled", "environment", "extensions", "files", "models", "name", "networks", "profiles",
                 "secrets", "services", "volumes", "working_dir")

    name: str
    working_dir: str
    files: tuple[str, ...]
    environment: Mapping[str, str]
    services: Mapping[str, Service]
    disabled: Mapping[str, Service]
    networks: Mapping[str, Mapping[str, Any]]
    volumes: Mapping[str, Mapping[str, Any]]
    configs: Mapping[str, Mapping[str, Any]]
    secrets: Mapping[str, Mapping[str, Any]]
    models: Mapping[str, Mapping[str, Any]]
    extensions: Mapping[str, Any]
    profiles: tuple[str, ...]

    def __init__(self, name: str, *, working_dir: str = "", files: Iterable[str] = (),
                 environment: Mapping[str, str] | None = None, services: Mapping[str, Service] | None = None,
                 disabled: Mapping[str, Service] | None = None, networks: Mapping[str, Any] | None = None,
                 volumes: Mapping[str, Any] | None = None, configs: Mapping[str, Any] | None = None,
                 secrets: Mapping[str, Any] | None = None, models: Mapping[str, Any] | None = None,
                 extensions: Mapping[str, Any] | None = None, profiles: tuple[str, ...] = ()) -> None:
        values = {
            "name": name, "working_dir": working_dir, "files": tuple(files), "environment": environment or {},
            "services": services or {}, "disabled": disabled or {}, "networks": networks or {},
            "volumes": volumes or {}, "configs": configs or {}, "secrets": secrets or {}, "models": models or {},
            "extensions": extensions or {}, "profiles": profiles,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"a Project is frozen: {key}")

    def replace(self, **changes: Any) -> Project:
        """A copy with other parts."""
        values = {key: getattr(self, key) for key in self.__slots__}
        values.update(changes)
        return Project(values.pop("name"), **values)
