"""Running a function with another directory as ``/``: in a thread of its own, which alone is chrooted.

Whatever links lie in the tree, nothing outside of it can be reached by path.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

from solva.kernel.process import CLONE_FS, unshare

T = TypeVar("T")


def call(root: str | os.PathLike[str], action: Callable[[], T]) -> T:
    """``action()`` with ``root`` as ``/``; blocks. Modules it needs must have been imported before."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            unshare(CLONE_FS)
            os.chroot(root)
            os.chdir("/")
            os.umask(0)
            outcome.append(action())
        except BaseException as error:      # handed to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=body, name="rooted")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
