"""What the engine's configuration says of registries."""

import ipaddress
from dataclasses import dataclass, field

DOCKER_HUB = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """``mirrors``: host of a registry -> base URLs asked before it. ``insecure``: hosts, host:port or networks (CIDR)
    spoken to without verified TLS."""

    mirrors: dict[str, list[str]] = field(default_factory=dict)
    insecure: frozenset[str] = frozenset()

    def is_insecure(self, domain: str) -> bool:
        """Loopback registries are, as in Docker."""
        host = _host(domain)
        if domain in self.insecure or host in self.insecure or host == "localhost":
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        if address.is_loopback:
            return True
        return any(address in ipaddress.ip_network(item, strict=False) for item in self.insecure if "/" in item)


def _host(domain: str) -> str:
    if domain.startswith("["):
        return domain[1:].partition("]")[0]
    return domain.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to ask. ``base`` ends without a slash; ``verify`` False: certificates are not checked."""

    base: str
    mirror: bool = False
    verify: bool = True


def endpoints(config: RegistryConfig, domain: str, *, mirrors: bool = True) -> list[Endpoint]:
    """Where to find a registry, best first: its mirrors, then itself (an insecure one by https, then http)."""
    found: list[Endpoint] = []
    if mirrors:
        for url in config.mirrors.get(domain, []):
            base = (url if "://" in url else f"https://{url}").rstrip("/").removesuffix("/v2")
            found.append(Endpoint(base, mirror=True, verify=not config.is_insecure(base.partition("://")[2])))
    host = DOCKER_HUB if domain == "docker.io" else domain
    if config.is_insecure(domain):
        return [*found, Endpoint(f"https://{host}", verify=False), Endpoint(f"http://{host}", verify=False)]
    return [*found, Endpoint(f"https://{host}")]
