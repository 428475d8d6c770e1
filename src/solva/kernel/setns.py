"""A few calls made inside another network namespace. Light to import: the name server is a small process.

setns(2) changes the calling thread, so it is done in a fresh thread that ends with the call; sockets opened there
stay in that namespace for good.
"""

from __future__ import annotations

import _thread
import ctypes
import os

TYPE_CHECKING = False  # typing itself costs the name server 7 ms and half a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def in_netns(path: str, call: Callable[[], T]) -> T:
    """``call()`` inside the network namespace at ``path``; its result, or its error. Blocks: keep ``call`` short.

    Raises OSError when the namespace is gone (ENOENT) or what is there is none (EINVAL).
    """
    done = _thread.allocate_lock()
    done.acquire()
    result: list[T] = []
    error: list[BaseException] = []

    def inside() -> None:
        try:
            namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(namespace, _CLONE_NEWNET):
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code), path)
            finally:
                os.close(namespace)
            result.append(call())
        except BaseException as problem:
            error.append(problem)
        finally:
            done.release()

    _thread.start_new_thread(inside, ())
    done.acquire()
    if error:
        raise error[0]
    return result[0]
