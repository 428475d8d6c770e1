"""What the arguments of a build mean on this machine: a remote context, an archive, the Dockerfile's place."""

from __future__ import annotations

import os

from solva.cli.errors import CommandError

REMOTE = ("http://", "https://", "git://", "git@", "github.com/", "ssh://")


def is_archive(head: bytes) -> bool:
    """Whether data that begin with ``head`` are a tar archive, perhaps compressed."""
    return head[257:262] == b"ustar" or head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"))


def dockerfile_path(root: str, given: str) -> str:
    """Where the Dockerfile is: as given from here, or within the context; its default names."""
    if given:
        candidates = [os.path.abspath(given), os.path.join(root, given)]
    else:
        candidates = [os.path.join(root, "Dockerfile"), os.path.join(root, "dockerfile")]
    for path in candidates:
        if os.path.isfile(path):
            folder = os.path.realpath(os.path.dirname(path))
            return os.path.join(folder, os.path.basename(path))
    raise CommandError("unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat "
                       f"{candidates[0]}: no such file or directory")
