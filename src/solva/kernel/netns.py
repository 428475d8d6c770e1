"""Network namespaces: made, pinned at a path, entered by a short-lived thread.

Entering changes one thread for good, so that it happens in a fresh thread that ends at once; sockets opened in there
stay in the namespace and are used from anywhere.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from solva.kernel import mount

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


def unshare() -> int:
    """Move the calling thread into a new network namespace; an open descriptor of it."""
    if _libc.unshare(_CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"create a network namespace: {os.strerror(code)}")
    return current()


def current() -> int:
    """A descriptor of the calling thread's network namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter(descriptor: int) -> None:
    """Move the calling thread into a namespace. Only for threads that end soon, and for tests."""
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"enter a network namespace: {os.strerror(code)}")


def _in_thread(action: Callable[[], T]) -> T:
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            outcome.append(action())
        except BaseException as error:      # handed to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=body, name="solva-netns")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def create(prepare: Callable[[int], T]) -> T:
    """A new namespace; ``prepare(descriptor)`` runs inside it. The descriptor is closed if ``prepare`` fails."""

    def body() -> T:
        descriptor = unshare()
        try:
            return prepare(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    return _in_thread(body)


def run(descriptor: int, action: Callable[[], T]) -> T:
    """``action`` inside the namespace, its result or its exception here. Waits for it."""

    def body() -> T:
        enter(descriptor)
        return action()

    return _in_thread(body)


def pin(descriptor: int, path: str | os.PathLike[str]) -> None:
    """Keep the namespace at ``path`` by a bind mount on an empty file."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
    try:
        mount.bind(f"/proc/self/fd/{descriptor}", path)
    except BaseException:
        os.unlink(path)
        raise


def unpin(path: str | os.PathLike[str]) -> None:
    """Let go of it; fine when it is gone. Processes and descriptors inside keep the namespace itself alive."""
    while mount.umount(path, mount.MNT_DETACH):
        pass
    Path(path).unlink(missing_ok=True)


def pinned(path: str | os.PathLike[str]) -> bool:
    """Whether a namespace is kept at ``path``: after a reboot only the empty file is left."""
    try:
        return os.stat(path).st_dev != os.stat(Path(path).parent).st_dev
    except FileNotFoundError:
        return False


def open_pinned(path: str | os.PathLike[str]) -> int:
    """A descriptor of the namespace kept at ``path``."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
