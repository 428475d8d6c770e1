"""Platforms as Docker names them: ``linux/amd64``, ``linux/arm/v7``."""

import platform as host
from typing import Any

_ARCHITECTURES = {"x86_64": ("amd64", ""), "aarch64": ("arm64", "v8"), "armv7l": ("arm", "v7"), "i686": ("386", ""),
                  "riscv64": ("riscv64", ""), "ppc64le": ("ppc64le", ""), "s390x": ("s390x", "")}


def host_platform() -> str:
    """This machine as Docker names platforms: ``linux/amd64``."""
    architecture, variant = _ARCHITECTURES.get(host.machine(), (host.machine(), ""))
    return f"linux/{architecture}" + (f"/{variant}" if variant and architecture != "arm64" else "")


def split_platform(platform: str) -> tuple[str, str, str]:
    """Operating system, architecture, variant."""
    parts = [*platform.lower().split("/"), "", ""]
    if not parts[1]:
        return "linux", parts[0], ""
    return parts[0], {"x86_64": "amd64", "aarch64": "arm64"}.get(parts[1], parts[1]), parts[2]


def fits(config: dict[str, Any], platform: str) -> bool:
    """Whether an image's configuration is of that platform."""
    wanted_os, architecture, variant = split_platform(platform)
    return (config.get("os", "linux") == wanted_os and config.get("architecture", "") == architecture
            and (not variant or config.get("variant", "") in ("", variant)))
