"""Running a function with another directory as ``/``: in a thread of its own, which alone is chrooted.

Whatever links lie in the tree, nothing outside of it can be reached by path.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from solva.kernel import inroot, mount
from solva.kernel.process import CLONE_FS, CLONE_NEWNS, unshare

T = TypeVar("T")


def call(root: str | os.PathLike[str], action: Callable[[], T], binds: Sequence[tuple[str, str, bool]] = ()) -> T:
    """``action()`` with ``root`` as ``/``; blocks. Modules it needs must have been imported before.

    ``binds``: (source, place in the root, whether it may be written), mounted for this call alone, in a mount
    namespace that ends with it; a place that is missing is made.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            unshare(CLONE_NEWNS if binds else CLONE_FS)
            if binds:
                _bind(root, binds)
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


def _bind(root: str | os.PathLike[str], binds: Sequence[tuple[str, str, bool]]) -> None:
    mount.mount("none", "/", "", mount.MS_REC | mount.MS_SLAVE)
    for source, place, writable in sorted(binds, key=lambda each: each[1]):
        try:
            target = inroot.host_path(root, place)
        except OSError:
            if os.path.isdir(source):
                inroot.make_dirs(root, place)
            else:
                inroot.make_dirs(root, os.path.dirname(place))
                os.close(inroot.open_in(root, place, os.O_CREAT | os.O_WRONLY, 0o644))
            target = inroot.host_path(root, place)
        mount.mount(source, target, "", mount.MS_BIND | mount.MS_REC)
        if not writable:
            mount.mount("none", target, "", mount.MS_BIND | mount.MS_REMOUNT | mount.MS_RDONLY)
