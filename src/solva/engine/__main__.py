"""`python -m solva.engine`: the engine in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import gc
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from solva.engine import config as configuration
from solva.errors import SolvaError

if TYPE_CHECKING:
    from solva.engine.config import Config

log = logging.getLogger("solva.engine")
LISTEN_FDS_START = 3


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Exit status 1 with one line on stderr where it cannot start."""
    parser = argparse.ArgumentParser(prog="solva engine", description=__doc__)
    parser.add_argument("--socket", type=Path, help="unix socket to listen on")
    parser.add_argument("--data-root", type=Path, help="what lasts (default /var/lib/solva)")
    parser.add_argument("--run-root", type=Path, help="what ends with a reboot (default /run/solva)")
    parser.add_argument("--config", type=Path, help=f"configuration (default {configuration.DEFAULT_FILE})")
    parser.add_argument("--cluster", metavar="etcd://HOST:PORT[,HOST:PORT...]", help="etcd of the overlay networks")
    parser.add_argument("--advertise", metavar="ADDRESS", help="this host's address (or interface) for the others")
    parser.add_argument("--debug", action="store_true", help="log more")
    given = parser.parse_args(arguments)
    try:
        config = configuration.load(given.config, given.cluster, given.advertise, socket=given.socket,
                                    data_root=given.data_root, run_root=given.run_root)
        _logging(given.debug or config.debug)
        lock = _lock(config)
        try:
            asyncio.run(_serve(config))
        finally:
            os.close(lock)
    except SolvaError as error:
        print(f"solva engine: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(config: Config) -> None:
    from solva.engine.engine import Engine

    engine = Engine(config)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        await engine.start(_passed_sockets())
        gc.collect()
        gc.freeze()  # what stands after the start stays: later collections need not walk it
        log.info("ready on %s", config.socket)
        _notify("READY=1")
        await ended.wait()
        _notify("STOPPING=1")
        log.info("ending; containers go on")
    finally:
        await engine.stop()


def _logging(debug: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.DEBUG if debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _lock(config: Config) -> int:
    """One engine a run root. Returns the held descriptor; its file is the pid file."""
    config.run_root.mkdir(parents=True, exist_ok=True, mode=0o711)
    config.data_root.mkdir(parents=True, exist_ok=True, mode=0o710)
    config.socket.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(config.run_root / "engine.pid", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pid = os.read(fd, 32).decode().strip()
        os.close(fd)
        raise SolvaError(f"another engine (pid {pid}) runs on {config.run_root}") from None
    os.ftruncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    return fd


def _passed_sockets() -> list[int]:
    """Descriptors of systemd's socket activation (sd_listen_fds(3))."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    return list(range(LISTEN_FDS_START, LISTEN_FDS_START + int(os.environ.get("LISTEN_FDS", "0"))))


def _notify(state: str) -> None:
    """Tell systemd, where it waits to be told (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.connect("\0" + address[1:] if address[0] == "@" else address)
            sock.send(state.encode())
        except OSError as error:
            log.warning("systemd could not be told %s: %s", state, error)


if __name__ == "__main__":
    sys.exit(main())
