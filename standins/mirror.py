"""Whether Docker Hub can be reached, and telling Solva's engine of our mirror when it cannot."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path

HUB = "https://registry-1.docker.io/v2/"
MARK = "# written by `python -m standins up`: Docker Hub could not be reached; delete it to be rid of it\n"


def hub_reachable(timeout: float = 4.0) -> bool:
    """Whether Docker Hub answers; that it wants a token counts as an answer."""
    if os.environ.get("SOLVA_STANDINS", "") in ("always", "never"):
        return os.environ["SOLVA_STANDINS"] == "never"
    try:
        with urllib.request.urlopen(HUB, timeout=timeout):
            return True
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False


def engine_configuration() -> Path:
    return Path(os.environ.get("SOLVA_ENGINE_CONFIG", "/etc/solva/engine.toml"))


def text(address: str) -> str:
    return f'{MARK}[registry.mirrors]\n"docker.io" = ["http://{address}"]\n'


def tell_engine(address: str) -> str:
    """Write the mirror into the engine's configuration; returns what was done, in words.

    A configuration that is not ours is left alone.
    """
    path = engine_configuration()
    try:
        there = path.read_text()
    except FileNotFoundError:
        there = None
    if there == text(address):
        return f"{path} names the mirror"
    if there is not None and not there.startswith(MARK.split(":", maxsplit=1)[0]):
        if f"http://{address}" in there:
            return f"{path} is yours and names the mirror"
        return f'{path} is yours and stays; the mirror is "docker.io" = ["http://{address}"] under [registry.mirrors]'
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".new")
    aside.write_text(text(address))
    aside.rename(path)
    return f"{path} written: docker.io is looked for at {address} first"


def untell_engine() -> bool:
    """Remove our configuration; False when there is none of ours."""
    path = engine_configuration()
    try:
        ours = path.read_text().startswith(MARK.split(":", maxsplit=1)[0])
    except FileNotFoundError:
        return False
    if ours:
        path.unlink()
    return ours
