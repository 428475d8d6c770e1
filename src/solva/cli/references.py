"""Image references: what a short name means."""

from __future__ import annotations

DOCKER_HUB = "https://index.docker.io/v1/"


class Reference:
    """A reference taken apart: ``domain/path[:tag][@digest]``."""

    __slots__ = ("digest", "domain", "path", "tag")

    def __init__(self, domain: str, path: str, tag: str, digest: str) -> None:
        self.domain = domain
        self.path = path
        self.tag = tag
        self.digest = digest

    @property
    def repository(self) -> str:
        """``docker.io/library/busybox``."""
        return f"{self.domain}/{self.path}"

    def canonical(self) -> str:
        """The whole reference."""
        return self.repository + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def familiar_repository(self) -> str:
        """``busybox`` for Docker Hub's, else as `repository`."""
        if self.domain != "docker.io":
            return self.repository
        return self.path.removeprefix("library/") if self.path.count("/") == 1 else self.path

    @property
    def auth_key(self) -> str:
        """The registry's key in config.json."""
        return DOCKER_HUB if self.domain == "docker.io" else self.domain


def parse(text: str) -> Reference:
    """``text`` with what it leaves out filled in, but for the tag; ValueError for what is no reference."""
    rest, _, digest = text.partition("@")
    tag = ""
    if ":" in rest.rpartition("/")[2]:
        rest, _, tag = rest.rpartition(":")
    first, slash, remainder = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        domain, path = first, remainder
    else:
        domain, path = "docker.io", rest
    if domain in ("docker.io", "index.docker.io"):
        domain = "docker.io"
        if "/" not in path:
            path = f"library/{path}"
    if path != path.lower():
        raise ValueError(f"invalid reference format: repository name ({path}) must be lowercase")
    known = set("abcdefghijklmnopqrstuvwxyz0123456789._-/")
    if not path or path.endswith("/") or not set(path) <= known or not path.rpartition("/")[2]:
        raise ValueError("invalid reference format")
    if ":" in rest.rpartition("/")[2] or text.endswith((":", "@")):
        raise ValueError("invalid reference format")
    return Reference(domain, path, tag, digest)
