"""`mongo`: SecantusDB, a MongoDB-compatible server on the real WiredTiger, behind mongod's flags.

The entry point does what the real image's does: it gives the files to the user mongodb, and when a root user is
asked for and the database is new, it starts without authentication, creates the user, stops, and starts for good
with `--auth`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from standins.recipes import debian, python
from standins.stages import FILES, Stage, Workshop

PACKAGES = (
    "SecantusDB==0.7.0b3",
    "dnspython==2.9.2",
    "pymongo==4.20.0",
    "numpy==2.4.6",
    "shapely==2.2.0",
)
VERSION = "8.2.11"  # what the server says it is
HOME = "/opt/secantus"


def build(shop: Workshop) -> None:
    for name in ("mongod", "mongo-first-start", "mongo-entrypoint.sh"):
        shutil.copy(FILES / name, shop.work)
    shop.run_in(
        f"""
groupadd --gid 999 --system mongodb
useradd --uid 999 --system --gid mongodb --home-dir /data/db --no-create-home mongodb
python3.11 -m pip install -q --no-cache-dir --no-compile --target {HOME} {" ".join(PACKAGES)}
rm -rf {HOME}/bin
find {HOME} -type d '(' -name tests -o -name test ')' -prune -exec rm -rf {{}} +
find {HOME} '(' -name '*.pyi' -o -name '*.a' -o -name '*.h' ')' -delete
python3.11 -m compileall -q --invalidation-mode unchecked-hash {HOME} >/dev/null || true
install -m 755 /mnt/work/mongod /mnt/work/mongo-first-start /usr/local/bin/
install -m 755 /mnt/work/mongo-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
mkdir -p /data/db /data/configdb /docker-entrypoint-initdb.d
chown -R mongodb:mongodb /data/db /data/configdb
mongod --version > /dev/null
""",
        {"PYTHONDONTWRITEBYTECODE": "1"},
    )


STAGE = Stage(
    name="mongo",
    how="pip install " + " ".join(PACKAGES),
    build=build,
    sources=(
        Path(__file__),
        *(FILES / name for name in ("mongod", "mongo-first-start", "mongo-entrypoint.sh")),
    ),
    parent=python.STAGE,
    skip=debian.skip,
)
