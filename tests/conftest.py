"""Fixtures of more than one folder: a live engine, a real Docker beside it where there is one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import peer
from support.engine import LiveEngine, live_engine, missing

# A shell that starts a run in the background has it ignore ^C, and what is ignored is inherited: nothing that the tests
# interrupt would end.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    """One engine for the session, busybox loaded. Tests name their objects so that they do not meet."""
    reason = missing()
    if reason:
        pytest.skip(f"no engine can run here: {reason}")
    with live_engine(tmp_path_factory.mktemp("engine"), f"solva-t-{os.getpid()}", outside=True) as live:
        yield live


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[LiveEngine]:
    """An engine for one test that kills or restarts it."""
    reason = missing()
    if reason:
        pytest.skip(f"no engine can run here: {reason}")
    with live_engine(tmp_path, f"solva-o-{os.getpid()}") as live:
        yield live


@pytest.fixture(scope="session")
def peer_socket() -> str:
    """The endpoint of a real Docker (tools/peer-docker.sh start); skips where none runs."""
    return peer.endpoint()
