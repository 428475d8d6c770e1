"""What BuildKit's clients ask of the Dockerfile frontend, as options of our builder."""

from __future__ import annotations

from collections.abc import Mapping

from solva.api.types.build import BuildOptions, BuildUlimit
from solva.errors import InvalidParameter, NotImplementedHere

# Known and without effect here: what the client tells of itself, and attestations, which the image store has no place
# for (as a Docker without the containerd image store).
_SILENT = ("attest:", "vcs:", "frontend.caps", "local-sessionid:", "build-arg:BUILDKIT_", "image-resolve-mode",
           "multi-platform", "contextkey", "dockerfilekey", "cmdline", "source", "hostname", "context:", "context",
           "contextsubdir", "cache-imports", "cache-from", "filename", "attest", "input:", "source-policy", "device",
           "target", "platform", "no-cache", "add-hosts", "force-network-mode", "shm-size", "ulimit", "requestid",
           "build-arg:", "label:", "linkmap", "load-config")


def build_options(given: Mapping[str, str]) -> BuildOptions:
    """BuildOptions of ``dockerfile.v0``'s options. InvalidParameter for a value that cannot be, NotImplementedHere for
    what is not done."""
    notes = [f"the option {key} is not known and has no effect" for key in sorted(given)
             if not key.startswith(_SILENT)]
    if given.get("cgroup-parent"):
        raise NotImplementedHere("a cgroup parent is not supported for builds")
    platform = given.get("platform", "")
    if "," in platform:
        raise NotImplementedHere(f"a build for several platforms at once ({platform}) is not supported: build them one "
                                 "by one")
    no_cache = given.get("no-cache")
    return BuildOptions(
        dockerfile=given.get("filename") or "Dockerfile",
        no_cache=no_cache == "",
        no_cache_filter=tuple(filter(None, (no_cache or "").split(","))),
        pull=given.get("image-resolve-mode") == "pull",
        build_args={key[10:]: value for key, value in given.items() if key.startswith("build-arg:")},
        labels={key[6:]: value for key, value in given.items() if key.startswith("label:")},
        target=given.get("target", ""), platform=platform, network_mode=given.get("force-network-mode", ""),
        extra_hosts=tuple(row.replace("=", ":", 1) for row in given.get("add-hosts", "").split(",") if row),
        shm_size=_number("shm-size", given.get("shm-size", "")), ulimits=tuple(_ulimits(given.get("ulimit", ""))),
        cache_imports=_imports(given), notes=tuple(notes))


def _imports(given: Mapping[str, str]) -> tuple[str, ...]:
    """``cache-imports`` (JSON) and the older ``cache-from`` (a list)."""
    import json

    refs = [ref for ref in given.get("cache-from", "").split(",") if ref]
    try:
        rows = json.loads(given.get("cache-imports") or "[]")
        for row in rows:
            kind, attrs = row.get("Type"), row.get("Attrs") or {}
            if kind != "registry":
                raise NotImplementedHere(f"cache import from {kind} is not supported: registry is")
            refs.append(str(attrs["ref"]))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InvalidParameter(f"invalid cache-imports: {error}") from None
    return tuple(dict.fromkeys(refs))


def _number(name: str, text: str) -> int:
    try:
        return int(text or 0)
    except ValueError:
        raise InvalidParameter(f"invalid value for {name}: {text!r} is not a number") from None


def _ulimits(text: str) -> list[BuildUlimit]:
    """``nofile=1024:2048,nproc=10``"""
    found = []
    for row in filter(None, text.split(",")):
        name, _, limits = row.partition("=")
        soft, _, hard = limits.partition(":")
        found.append(BuildUlimit(name, _number("ulimit", soft), _number("ulimit", hard or soft)))
    return found
