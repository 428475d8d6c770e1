"""A machine with cgroup v2 alone: limits, statistics, pause and out-of-memory there, in a virtual machine."""

from __future__ import annotations

import re

import pytest
from tools.vm import CannotRun, run

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]

SCRIPT = r"""
say() { name=$1; shift; echo "$name=$("$@" 2>&1 | tr '\n' ' ' | sed 's/ *$//')"; }
cd /tmp
PYTHONPATH=/project/src:/project/packages python3 -m solva.engine >/tmp/engine.log 2>&1 &
until [ -S /run/solva/solva.sock ]; do
    kill -0 $! && [ "$(cut -d. -f1 /proc/uptime)" -lt 400 ] || { cat /tmp/engine.log; exit 9; }
    sleep 0.3
done
say mounts grep -c ' cgroup rw' /proc/mounts
say version solva info --format '{{.CgroupVersion}} {{.CgroupDriver}}'
mkdir img; cp /usr/bin/busybox img/
printf 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox","--install","/bin"]\n' > img/Dockerfile
solva build -q -t bb img >/dev/null || exit 8
say run solva run --rm bb echo from a container
say limits solva run --rm --memory 64m --cpus 0.5 --pids-limit 33 --cpuset-cpus 1 bb sh -c \
    'cd /sys/fs/cgroup; cat memory.max memory.swap.max cpu.max pids.max cpuset.cpus; cat /proc/self/cgroup'
solva run -d --name cc --memory 64m bb sleep 600 >/dev/null
say exec solva exec cc sh -c 'cat /proc/self/cgroup'
solva update --memory 80m --memory-swap 80m --pids-limit 44 cc >/dev/null
say updated solva exec cc cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max
say stats solva stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}}'
say top solva top cc -o pid,cmd
solva pause cc >/dev/null; say paused solva ps --format '{{.Status}}'; solva unpause cc >/dev/null
solva run --name oo --memory 16m bb sh -c 'x=a; while :; do x=$x$x; done'
say oom solva inspect oo --format '{{.State.OOMKilled}} {{.State.ExitCode}}'
solva rm -f cc oo >/dev/null
say left sh -c 'find /sys/fs/cgroup/solva -mindepth 1 -type d 2>/dev/null | wc -l'
"""


def test_containers_on_a_machine_of_cgroup_v2_alone() -> None:
    try:
        status, text = run(SCRIPT)
    except CannotRun as error:
        pytest.skip(f"no virtual machine: {error}")
    said = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    assert status == 0, text
    assert said["mounts"] == "0"
    assert said["version"] == "2 cgroupfs"
    assert said["run"] == "from a container"
    assert said["limits"] == "67108864 67108864 50000 100000 33 1 0::/"
    assert said["exec"] == "0::/"
    assert said["updated"] == "83886080 44"
    assert re.fullmatch(r"cc [\d.]+[KM]iB / 80MiB 1", said["stats"])
    assert "sleep 600" in said["top"]
    assert "(Paused)" in said["paused"]
    assert said["oom"] == "true 137"
    assert said["left"] == "0"
