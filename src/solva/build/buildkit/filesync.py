"""Directories that a client sends over its session: the receiving side of ``buildkit/fsutil.py``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from grpclib.exceptions import GRPCError, StreamTerminatedError
from multidict import MultiDict

from solva.buildkit import wire_pb2 as wire
from solva.buildkit.fsutil import (
    DIFF_COPY,
)
from solva.buildkit.receiver import Receiver
from solva.errors import InvalidParameter, SystemFailure

if TYPE_CHECKING:
    from solva.build.buildkit.sessions import Session

def _header(metadata: MultiDict[str], key: str, values: Sequence[str]) -> None:
    """Values that are not plain ASCII are escaped, and a second header says so."""
    plain = all(value.isascii() and value.isprintable() for value in values)
    for value in values:
        metadata.add(key, value if plain else quote_plus(value))
    if not plain:
        metadata.add(f"{key}-encoded", "1")


async def receive(session: Session, name: str, target: Path, *, include: Sequence[str] = (),
                  exclude: Sequence[str] = (), follow: Sequence[str] = (),
                  progress: Callable[[int], None] = lambda size: None) -> None:
    """Make the directory ``target`` equal to the client's directory ``name``. What ``target`` has already, by size
    and time, is not sent again. ``progress``: bytes received so far. InvalidParameter for a directory the client does
    not have, or a list that leads out of it."""
    metadata: MultiDict[str] = MultiDict()
    _header(metadata, "dir-name", [name])
    for key, values in (("include-patterns", include), ("exclude-patterns", exclude), ("followpaths", follow)):
        _header(metadata, key, values)
    if DIFF_COPY not in session.methods:
        raise InvalidParameter(f"local {name}: the client's session sends no files")
    receiver = Receiver(os.fspath(target), progress)
    try:
        async with session.open(DIFF_COPY, wire.Packet, metadata) as stream:
            await stream.send_request()
            await receiver.run(stream)
    except GRPCError as error:
        raise InvalidParameter(f"local {name}: {error.message}") from error
    except StreamTerminatedError as error:
        raise SystemFailure(f"local {name}: the client ended its session") from error
    except OSError as error:
        raise SystemFailure(f"local {name}: {error.strerror or error}: {error.filename or ''}") from error
