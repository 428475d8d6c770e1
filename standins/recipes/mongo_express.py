"""`mongo-express` 1.0.2 from npm, on Debian's Node 18.

The published package lacks the scripts of its pages (webpack makes them in the real image): esbuild bundles them
here. Two of its dependencies have addresses that only yarn or GitHub know; npm has the same packages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from standins.oci import this_architecture
from standins.recipes import debian, python
from standins.stages import FILES, Stage, Workshop

VERSION = "1.0.2"
NPM = "9.9.4"
ESBUILD = "0.25.12"
PAGES = {  # what the pages' scripts need, besides what they import from the package itself
    "bootstrap": "3.4.1",
    "bootstrap-paginator": "1.0.2",
    "codemirror": "5.65.20",
    "jquery": "3.7.1",
    "renderjson": "1.4.0",
    "html-entities": "2.6.0",
}
LOCK = FILES / "mongo-express-lock.json"
_OWN = ("mongo-express-entrypoint.sh", "mongo-express-build.sh")
_RUNTIME = ("app.js", "config.default.js", "lib", "package.json", "public", "LICENSE.md")


def npm_registry() -> str:
    """Where npm gets packages on this machine."""
    said = os.environ.get("NPM_CONFIG_REGISTRY") or os.environ.get("npm_config_registry")  # noqa: SIM112 - npm's own spelling
    if not said and shutil.which("npm"):
        said = subprocess.run(
            ["npm", "config", "get", "registry"], capture_output=True, text=True, check=False
        ).stdout.strip()
    return (said if said and said.startswith("http") else "https://registry.npmjs.org/").rstrip("/")


def tarball(name: str, version: str) -> str:
    return f"{npm_registry()}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"


def dependencies(package: dict[str, Any]) -> dict[str, Any]:
    """The package.json to install with: names that npm can resolve, and nothing that only its developers need."""
    needed = dict(package["dependencies"])
    for name in ("bootstrap-paginator", "nyc", "html-entities"):
        needed.pop(name, None)
    needed["mongodb-query-parser"] = "2.4.6"
    kept: dict[str, Any] = {name: package[name] for name in ("name", "version", "type", "license", "bin")}
    return {**kept, "dependencies": needed, "devDependencies": PAGES}


def build(shop: Workshop) -> None:
    work = shop.work
    cpu = {"amd64": "x64"}.get(this_architecture(), this_architecture())
    for name, url in (
        ("package", tarball("mongo-express", VERSION)),
        ("npm", tarball("npm", NPM)),
        ("esbuild", tarball(f"@esbuild/linux-{cpu}", ESBUILD)),
    ):
        archive = work / f"{name}.tgz"
        shop.run(["curl", "-fsSL", "--retry", "3", "-o", str(archive), url])
        (work / name).mkdir()
        shop.run(["tar", "xzf", str(archive), "-C", str(work / name), "--strip-components=1", "--no-same-owner"])
    app = work / "app"
    app.mkdir()
    for name in _RUNTIME:
        source = work / "package" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, app / name)
    package = json.loads((app / "package.json").read_text())
    (app / "package.json").write_text(json.dumps(dependencies(package), indent=2) + "\n")
    if LOCK.exists():
        shutil.copy(LOCK, app / "package-lock.json")
    for own in _OWN:
        shutil.copy(FILES / own, work)
    (work / "bundle").write_bytes(python.certificates())
    shop.run_in(
        debian.install("nodejs tini ca-certificates") + "\nsh -eu /mnt/work/mongo-express-build.sh\n",
        {
            "npm_config_registry": npm_registry() + "/",
            "npm_config_cafile": "/mnt/work/bundle",
            "npm_config_cache": "/tmp/npm",
            "npm_config_update_notifier": "false",
        },
    )
    if os.environ.get("SOLVA_STANDINS_WRITE_LOCK"):
        shutil.copy(work / "package-lock.json", LOCK)


STAGE = Stage(
    name="mongo-express",
    how=f"apt-get install nodejs tini; npm install mongo-express@{VERSION}",
    build=build,
    sources=(Path(__file__), *(FILES / own for own in _OWN), *([LOCK] if LOCK.exists() else [])),
    parent=debian.STAGE,
    compression="zstd",
    skip=debian.skip,
)
