"""Many watchers share one descriptor; each hears what it asked for."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from solva.kernel import inotify


def descriptors() -> int:
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}") == "anon_inode:inotify"
        except OSError:
            continue
    return count


def test_two_hundred_watchers_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()

    async def main() -> None:
        before = descriptors()
        watchers = [inotify.Inotify() for _ in range(200)]
        assert descriptors() == before + 1
        written = [watcher.event(path, inotify.MODIFY)[1] for watcher in watchers]
        touched = watchers[0].event(path, inotify.ATTRIB)[1]
        path.write_text("x")
        async with asyncio.timeout(20):
            await asyncio.gather(*(event.wait() for event in written))
        assert not touched.is_set()
        for watcher in watchers[1:]:
            watcher.close()
        number, again = watchers[0].event(path, inotify.MODIFY)
        path.write_text("y")
        async with asyncio.timeout(20):
            await again.wait()
        watchers[0].remove(number)
        path.unlink()
        await asyncio.sleep(0.01)
        path.write_text("a new file")
        fresh = watchers[0].event(path, inotify.MODIFY)[1]
        path.write_text("z")
        async with asyncio.timeout(20):
            await fresh.wait()
        watchers[0].close()
        assert descriptors() == before
    asyncio.run(main())
