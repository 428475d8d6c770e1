"""The suite of overlay networks against real Docker: what the suite asks for is what Docker does."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from suites.overlay import Machines, OverlaySuite
from support.swarm import missing_swarm, swarm

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.skipif(bool(missing_swarm()), reason=missing_swarm())]


@pytest.fixture(scope="module")
def dockers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with swarm(tmp_path_factory.mktemp("swarm"), f"ovd-{os.getpid()}") as machines:
        yield list(machines)


class TestSwarm(OverlaySuite):
    scope = "swarm"
    busy = "is in use by task"

    @pytest.fixture
    def machines(self, dockers: Machines) -> Machines:
        return dockers
