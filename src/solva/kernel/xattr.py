"""Extended attributes: read, written and copied without following symlinks."""

import errno
import os

OVERLAY_PREFIXES = ("trusted.overlay.", "user.overlay.")
OPAQUE = "trusted.overlay.opaque"
_NOT_HERE = (errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES)
Target = int | str | bytes | os.PathLike[str]


def read_all(path: Target) -> dict[str, bytes]:
    """Every attribute that can be read, but overlayfs's own; sorted by name."""
    follow = isinstance(path, int)
    try:
        names = os.listxattr(path, follow_symlinks=follow)
    except OSError as error:
        if error.errno in _NOT_HERE:
            return {}
        raise
    found: dict[str, bytes] = {}
    for name in sorted(names):
        if name.startswith(OVERLAY_PREFIXES):
            continue
        try:
            found[name] = os.getxattr(path, name, follow_symlinks=follow)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
    return found


def write_all(path: Target, attributes: dict[str, bytes]) -> None:
    """Set them. A filesystem that knows no such namespace loses them without an error, as Docker does."""
    follow = isinstance(path, int)
    for name, value in attributes.items():
        try:
            os.setxattr(path, name, value, follow_symlinks=follow)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise


def is_opaque(path: str | bytes | os.PathLike[str]) -> bool:
    """Whether a directory hides everything below it in an overlay."""
    try:
        return os.getxattr(path, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def set_opaque(path: int | str | bytes | os.PathLike[str]) -> None:
    """Make a directory of a layer hide the lower ones."""
    if isinstance(path, int):
        os.setxattr(path, OPAQUE, b"y")
    else:
        os.setxattr(path, OPAQUE, b"y", follow_symlinks=False)
