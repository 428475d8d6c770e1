"""docker-py's own integration suite, as its authors wrote it, against Solva.

Its source distribution carries the suite; `tools/setup.sh tests` fetches that from PyPI. Its images come from a
registry of this test's own (tests/support/hub.py), so nothing of it needs the internet. What is left out is in
docker_py_left_out.txt, with reasons.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.engine import LiveEngine, missing
from support.hub import hub

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(600)]
SUITE = Path(__file__).resolve().parents[2] / ".venv" / "share" / "docker-py"
LEFT_OUT = Path(__file__).with_name("docker_py_left_out.txt")


@pytest.fixture(scope="module")
def hub_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    """An engine whose Docker Hub is a registry beside it; a short path, for the suite makes unix sockets."""
    reason = missing()
    if reason:
        pytest.skip(f"no engine can run here: {reason}")
    if not (SUITE / "tests" / "integration").is_dir():
        pytest.skip("docker-py's suite is not here (tools/setup.sh tests fetches it)")
    root = tmp_path_factory.mktemp("docker-py")
    engine = LiveEngine(root, f"solva-d-{os.getpid()}", outside=True)
    engine.make_netns()
    try:
        with hub(root / "hub", engine.host_address) as address:
            engine.configure(f'[registry]\ninsecure = ["{address}"]\n[registry.mirrors]\n'
                             f'"docker.io" = ["http://{address}"]\n')
            engine.start()
            for name, tag in (("alpine", "3.10"), ("alpine", "latest"), ("busybox", "latest")):
                with engine.api.request("POST", "/images/create", query={"fromImage": name, "tag": tag}) as answer:
                    for row in answer.lines():
                        assert "error" not in row, row
            yield engine
    finally:
        engine.close()


def left_out() -> list[str]:
    """pytest's options that leave the listed cases out."""
    options = []
    for row in LEFT_OUT.read_text().splitlines():
        if row and not row.startswith("#"):
            what = f"tests/integration/{row.split(' | ')[0].strip()}"
            options.append(f"--deselect={what}" if "::" in what else f"--ignore={what}")
    return options


def test_every_case_of_docker_pys_suite(hub_engine: LiveEngine, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    environment = {
        **os.environ, "DOCKER_HOST": f"unix://{hub_engine.socket}", "DOCKER_TEST_API_VERSION": "1.44",
        "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).resolve().parents[1] / "support"),
    }
    done = subprocess.run(
        ["nsenter", f"--net={hub_engine.netns}", "--", sys.executable, "-m", "pytest", "-p", "docker_py_order",
         "-p", "no:cacheprovider", "-c", "pytest.ini", "--rootdir", ".", "-q", "--timeout=120", f"--junitxml={report}",
         *left_out(), "tests/integration"],
        cwd=SUITE, env=environment, capture_output=True, text=True, timeout=500, check=False)
    failed, passed = [], 0
    for case in ElementTree.parse(report).iter("testcase"):
        problem = next((case.find(kind) for kind in ("failure", "error") if case.find(kind) is not None), None)
        if problem is not None:
            failed.append(f"{case.get('classname')}.{case.get('name')}: {(problem.get('message') or '')[:300]}")
        elif case.find("skipped") is None:
            passed += 1
    assert not failed, f"{len(failed)} of docker-py's cases fail:\n" + "\n".join(failed)
    assert passed >= 240, f"only {passed} cases have run\n{done.stdout[-2000:]}"
