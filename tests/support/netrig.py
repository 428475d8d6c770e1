"""A host of its own for network tests: the test's thread is in a fresh network namespace, and nothing may be left."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from solva.kernel import links, netns, nft
from solva.kernel.netlink import Netlink


@contextmanager
def fresh_host(run: Path) -> Iterator[Netlink]:
    """Yields a netlink socket of the namespace. Afterwards: no link of ours, no descriptor, no mount is left."""
    gc.collect()      # what earlier tests dropped must not be closed in the middle of this one
    before = len(os.listdir("/proc/self/fd"))
    home = netns.current()
    inside = netns.unshare()
    kernel = Netlink()
    kernel.execute([links.set_link(1, up=True)])
    try:
        yield kernel
    finally:
        names = {link.name for link in links.list_links(kernel)}
        rules = nft.Nft()
        rules.run("flush ruleset")      # of this test's own namespace
        rules.close()
        kernel.close()
        netns.enter(home)
        for descriptor in (home, inside):
            os.close(descriptor)
    assert not {name for name in names if name.startswith("veth")}, "links were left behind"
    assert len(os.listdir("/proc/self/fd")) <= before, "descriptors were left behind"
    assert str(run) not in Path("/proc/self/mountinfo").read_text(), "mounts were left behind"


def link_names(kernel: Netlink) -> set[str]:
    """All links of the host."""
    return {link.name for link in links.list_links(kernel)}


def inside_names(path: str) -> set[str]:
    """All links of the namespace kept at a path."""
    descriptor = netns.open_pinned(path)

    def look() -> set[str]:
        there = Netlink()
        try:
            return link_names(there)
        finally:
            there.close()

    try:
        return netns.run(descriptor, look)
    finally:
        os.close(descriptor)
