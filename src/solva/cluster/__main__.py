"""``python -m solva.cluster --run-root RUN [--ready-fd N]``: the agent, in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import gc
import logging
import os
import signal
import sys
from pathlib import Path

from solva.cluster import files
from solva.cluster.agent import Agent
from solva.cluster.files import Config


def main() -> int:
    """Until told to stop, or SIGTERM: then the lease goes on until it runs out."""
    parser = argparse.ArgumentParser(prog="python -m solva.cluster", description=__doc__)
    parser.add_argument("--run-root", type=Path, required=True)
    parser.add_argument("--ready-fd", type=int, default=-1)
    given = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, datefmt="%Y-%m-%dT%H:%M:%S",
                        format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    config = files.read(files.config_path(given.run_root), Config)
    if config is None:
        print(f"solva.cluster: {files.config_path(given.run_root)} is missing or damaged", file=sys.stderr)
        return 1
    pid_file = os.open(files.pid_path(given.run_root), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"solva.cluster: another one serves {given.run_root}", file=sys.stderr)
        return 1
    os.ftruncate(pid_file, 0)
    os.write(pid_file, f"{os.getpid()}\n".encode())
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.freeze()
    asyncio.run(Agent(given.run_root, config).run(given.ready_fd))
    return 0


if __name__ == "__main__":
    sys.exit(main())
