"""Debian bookworm, slim: the ground of the others, and `debian:bookworm-slim` itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from standins.layers import EPOCH
from standins.stages import Stage, Workshop

MIRROR = "http://deb.debian.org/debian"
SOURCES = f"""\
deb {MIRROR} bookworm main
deb {MIRROR} bookworm-updates main
deb http://deb.debian.org/debian-security bookworm-security main
"""
# What Debian's own slim images leave out.
EXCLUDED = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/doc/kde/*",
    "path-exclude=/usr/share/groff/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/linda/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
)
# State of the tools that ran, not of the system they made.
_UNWANTED = (
    "dev/", "proc/", "sys/", "run/", "tmp/", "mnt/",
    "var/lib/apt/lists/", "var/cache/", "var/log/", "var/tmp/", "root/.cache/",
)  # fmt: skip
_UNWANTED_FILES = frozenset({"etc/.pwd.lock", "var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend"})


def skip(name: str) -> bool:
    """Whether a path of a Debian root stays out of its layer."""
    if name in _UNWANTED_FILES or name.startswith(("var/lib/dpkg/triggers/Lock",)):
        return True
    if name.endswith("-old") and name.startswith(("var/lib/dpkg/", "var/cache/debconf/")):
        return True
    # a backup of passwd, group, ...
    if name.startswith("etc/") and name.endswith("-") and "/" not in name[4:]:
        return True
    return name.startswith(_UNWANTED)


def _apt_proxy() -> list[str]:
    try:
        shown = subprocess.run(
            ["apt-config", "shell", "P", "Acquire::http::Proxy"], capture_output=True, text=True, check=False
        ).stdout.strip()
    except FileNotFoundError:
        return []
    proxy = shown.removeprefix("P=").strip("'")
    return [f'--aptopt=Acquire::http::Proxy "{proxy}"'] if proxy else []


def build(shop: Workshop) -> None:
    if shutil.which("mmdebstrap") is None:
        raise FileNotFoundError("mmdebstrap is not installed: `make setup` does that")
    sources = shop.work / "sources.list"
    sources.write_text(SOURCES)
    # The package lists stay in the directory, where the stages upon this one find them; `skip` keeps them out
    # of the layer.
    shop.run(
        [
            "mmdebstrap", "--quiet", "--mode=root", "--variant=apt", "--format=directory",
            "--skip=cleanup/apt/lists",
            *(f"--dpkgopt={option}" for option in EXCLUDED),
            *_apt_proxy(),
            "--customize-hook=rm -f $1/etc/resolv.conf $1/etc/hostname",
            "--customize-hook=: > $1/etc/resolv.conf; : > $1/etc/hostname; chmod 644 $1/etc/resolv.conf",
            "bookworm", str(shop.root), str(sources),
        ],
        {"SOURCE_DATE_EPOCH": str(EPOCH)},
    )  # fmt: skip


def install(packages: str) -> str:
    """Shell lines that install packages; lists of another day may name versions that are gone."""
    apt = f"apt-get install -qq -y --no-install-recommends {packages}"
    return f"""
mkdir -p /mnt/apt/partial
options="-o Dir::Cache::archives=/mnt/apt -o APT::Sandbox::User=root"
set -- $options
{apt} "$@" || {{ apt-get update -qq "$@"; {apt} "$@"; }}
"""


STAGE = Stage(
    name="debian",
    how="mmdebstrap --variant=apt bookworm",
    build=build,
    sources=(Path(__file__),),
    skip=skip,
)
