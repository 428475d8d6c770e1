"""Python 3.11 with pip, as `python:3.11.9-alpine` presents it: Debian's interpreter in the places of the real one.

What a build needs to reach the package index from inside comes from this machine: the certificates it trusts and
pip's settings, as far as they make sense elsewhere (a folder of this machine does not).
"""

from __future__ import annotations

import configparser
import hashlib
import io
import os
import shutil
from pathlib import Path

import pip

from standins.recipes import debian
from standins.stages import Stage, Workshop

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
TOOLS = "pip==24.0 setuptools==65.5.1 wheel==0.45.1"
_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")


def pip_settings() -> dict[str, str]:
    """What pip is told on this machine that also holds in a container."""
    said: dict[str, str] = {}
    home = Path.home()
    files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
    if os.environ.get("PIP_CONFIG_FILE"):
        files.append(Path(os.environ["PIP_CONFIG_FILE"]))
    parser = configparser.RawConfigParser()
    parser.read(files)
    for section in ("global", "install"):
        if parser.has_section(section):
            said.update(parser.items(section))
    for name in _SETTINGS:
        variable = f"PIP_{name.upper().replace('-', '_')}"
        if variable in os.environ:
            said[name] = os.environ[variable]
    kept: dict[str, str] = {}
    for name in _SETTINGS:
        values = said.get(name, "").split()
        if name.endswith("index-url"):
            values = [url for url in values if url.startswith(("http://", "https://"))]
        if values:
            kept["timeout" if name == "default-timeout" else name] = " ".join(values)
    return kept


def certificates() -> bytes:
    """The certificates this machine trusts, and those that pip is told to trust."""
    bundle = BUNDLE.read_bytes() if BUNDLE.exists() else b""
    own = os.environ.get("PIP_CERT", "")
    if own and Path(own).exists() and not BUNDLE.samefile(own):
        bundle += b"\n" + Path(own).read_bytes()
    return bundle


def pip_conf() -> str:
    config = configparser.RawConfigParser()
    config["global"] = {**pip_settings(), "cert": str(BUNDLE), "root-user-action": "ignore"}
    text = io.StringIO()
    config.write(text)
    return text.getvalue()


def inputs() -> str:
    return pip_conf() + hashlib.sha256(certificates()).hexdigest()


def build(shop: Workshop) -> None:
    shutil.copytree(Path(pip.__file__).parent, shop.work / "pip" / "pip")
    (shop.work / "pip.conf").write_text(pip_conf())
    (shop.work / "bundle").write_bytes(certificates())
    shop.run_in(
        debian.install("python3 ca-certificates tzdata")
        + f"""
rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
[ ! -s /mnt/work/bundle ] || cp /mnt/work/bundle {BUNDLE}
cp /mnt/work/pip.conf /etc/pip.conf
for name in python python3 python3.11; do ln -s /usr/bin/python3.11 /usr/local/bin/$name; done
PYTHONPATH=/mnt/work/pip python3.11 -m pip install -q --no-cache-dir --no-compile --ignore-installed {TOOLS}
# Byte code that is checked by nothing: that of the packages would be checked by file times, which layers fix.
find / -xdev -name __pycache__ -prune -exec rm -rf {{}} +
python3.11 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3.11 /usr/lib/python3 \\
    /usr/local/lib/python3.11 >/dev/null || true
python3.11 -c 'import platform; print(platform.python_version())' > /mnt/work/version
"""
    )
    shop.facts["version"] = (shop.work / "version").read_text().strip()


STAGE = Stage(
    name="python",
    how="apt-get install python3; pip install " + TOOLS,
    build=build,
    sources=(Path(__file__),),
    parent=debian.STAGE,
    inputs=inputs,
    skip=debian.skip,
)
