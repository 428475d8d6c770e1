"""Image references: ``[host[:port]/]path[:tag][@digest]``, Docker's short forms and error texts."""

import re
from dataclasses import dataclass, replace

from solva.errors import InvalidParameter

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_LIBRARY = "library/"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?\Z")
_TAG = re.compile(r"\w[\w.-]{0,127}\Z", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}\Z")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}\Z")
_HEX64 = re.compile(r"[a-f0-9]{64}\Z")
_NAME_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalised reference. ``str()`` is the full form, ``familiar`` what users see."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Full name without tag and digest."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The name without ``docker.io/`` and ``library/``."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        rest = self.path.removeprefix(_LIBRARY)
        return self.path if "/" in rest else rest

    @property
    def familiar(self) -> str:
        return self.familiar_name + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def with_default_tag(self) -> "Reference":
        """``latest`` where neither tag nor digest is given."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def tagged(self, tag: str) -> "Reference":
        """The same repository under ``tag``. InvalidParameter for a bad tag."""
        if not _TAG.match(tag):
            raise InvalidParameter("invalid tag format")
        return replace(self, tag=tag, digest="")

    def with_digest(self, digest: str) -> "Reference":
        """The same repository by digest."""
        return replace(self, tag="", digest=digest)

    def __str__(self) -> str:
        return self.name + self._suffix()


def parse(text: str) -> Reference:
    """A reference as users write it. InvalidParameter in Docker's words; no default tag is added."""
    if _HEX64.match(text):
        raise InvalidParameter(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.match(digest):
        raise InvalidParameter("invalid reference format")
    if at and not _SHA256.match(digest):
        raise InvalidParameter("invalid checksum digest length" if digest.startswith("sha256:")
                               else "unsupported digest algorithm")
    domain, path = _split_domain(rest)
    path, colon, tag = path.partition(":")
    if path != path.lower():
        raise InvalidParameter(f"invalid reference format: repository name ({path}) must be lowercase")
    if not _DOMAIN.match(domain) or not _PATH.match(path) or (colon and not _TAG.match(tag)):
        raise InvalidParameter("invalid reference format")
    if len(domain) + 1 + len(path) > _NAME_LENGTH:
        raise InvalidParameter("repository name must not be more than 255 characters")
    return Reference(domain, path, tag, digest)


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    is_domain = slash and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    domain, path = (first, rest) if is_domain else (DEFAULT_DOMAIN, name)
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _LIBRARY + path
    return domain, path
