"""``python -m solva.dns --run-root RUN [--log-queries] [--ready-fd N]``: the name server, in the foreground.

The engine starts this file by its path, without site-packages: it needs the standard library alone, and is up in the
time that others take to find their packages.
"""

import os
import sys

if not __package__:
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import fcntl
import gc

from solva.dns import paths
from solva.dns.control import Control
from solva.dns.server import Server

_USAGE = "usage: python -m solva.dns --run-root RUN [--log-queries] [--ready-fd N]"


def _options(arguments: list[str]) -> tuple[str, bool, int]:
    run, log_queries, ready = "", False, -1
    rest = list(arguments)
    while rest:
        option = rest.pop(0)
        if option == "--run-root" and rest:
            run = rest.pop(0)
        elif option == "--ready-fd" and rest and rest[0].isdigit():
            ready = int(rest.pop(0))
        elif option == "--log-queries":
            log_queries = True
        else:
            sys.exit(_USAGE)
    if not run:
        sys.exit(_USAGE)
    return run, log_queries, ready


def _lock(run: str) -> int:
    """The pid file, ours for as long as we live."""
    pid_file = os.open(paths.pid_file(run), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"solva.dns: another one serves {run}")
    os.ftruncate(pid_file, 0)
    os.write(pid_file, f"{os.getpid()}\n".encode())
    return pid_file


def _raise_file_limit() -> None:
    """Two sockets a sandbox and the forwarders': more than the customary 1024."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else max(soft, 65536), hard))


def main() -> None:
    """Serve until told to stop."""
    run, log_queries, ready = _options(sys.argv[1:])
    os.makedirs(paths.directory(run), exist_ok=True)
    pid_file = _lock(run)
    _raise_file_limit()
    server = Server(run, log_queries=log_queries)
    server.load_all()
    Control(server, run)
    if ready >= 0:
        os.write(ready, b"ready\n")
        os.close(ready)
    gc.collect()
    gc.freeze()
    server.reactor.run()
    server.close()
    os.unlink(paths.control_socket(run))
    os.close(pid_file)


if __name__ == "__main__":
    main()
