"""Snapshots by overlayfs: a writable directory on top of a chain of layers.

``data/snapshots/active/<key>/``: ``fs`` (the upper), ``work``, ``merged`` (the mount). Between the image's layers and
the upper lies an init layer, one a chain, with the mount points and files every container gets (as Docker has it), so
that they never show as changes of the container.
"""

import asyncio
import errno
import os
import secrets
import stat
from pathlib import Path

import msgspec
from isal import isal_zlib

from solva import faults
from solva.errors import Conflict, InvalidParameter, NotFound, SystemFailure
from solva.kernel import files, mount
from solva.snapshots.changes import Change, changes
from solva.snapshots.content import ContentStore
from solva.snapshots.layers import LayerInfo, LayerStore, chain_id
from solva.snapshots.tarwrite import LayerWriter
from solva.snapshots.worker import UnpackProcess
from solva.store.sqlite import Store

SNAPSHOT_KIND = "snapshot"
MAX_LAYERS = 127
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_OPTIONS = "index=off,redirect_dir=off,metacopy=off"      # the upper must be readable as a layer without the mount
_INIT_DIRECTORIES = (("dev/pts", 0o755), ("dev/shm", 0o755), ("proc", 0o755), ("sys", 0o755))
_INIT_FILES = ("etc/hosts", "etc/hostname", "etc/resolv.conf", "dev/console", ".dockerenv")


class Snapshot(msgspec.Struct, frozen=True):
    """Stored. ``parents``: chain ids, bottom first. ``init``: has an init layer."""

    key: str
    parents: tuple[str, ...]
    init: bool


class Snapshotter:
    """One an engine. Directories appear and vanish in threads; the loop is not blocked."""

    def __init__(self, root: Path, store: Store, layers: LayerStore, content: ContentStore) -> None:
        self._root = root
        self._active = root / "active"
        self._init = root / "init"
        self._store = store
        self._layers = layers
        self._content = content
        for directory in (root, self._active, self._init):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._snapshots = {item.key: item for item in store.all(SNAPSHOT_KIND, Snapshot)}
        layers.hold(self.used_chains)
        self._init_locks: dict[str, asyncio.Lock] = {}

    async def start(self) -> None:
        """Clean up after a killed engine: directories without a record. Mounts of living snapshots stay."""
        await asyncio.to_thread(self._layers.start)
        for name in os.listdir(self._active):
            if name not in self._snapshots:
                await asyncio.to_thread(self._discard, self._active / name)
        known = {chain[7:23] for chain in self._layers.chains()}
        for name in os.listdir(self._init):
            if name.startswith(".") or (name != "scratch" and name not in known):
                await asyncio.to_thread(self._discard, self._init / name)

    async def prepare(self, key: str, parents: tuple[str, ...], *, init: bool = True) -> None:
        """A new snapshot on ``parents`` (chain ids, bottom first). ``init=False`` leaves the init layer out."""
        if not key or "/" in key or key.startswith("."):
            raise InvalidParameter(f"invalid snapshot key {key!r}")
        if key in self._snapshots:
            raise Conflict(f"snapshot {key} already exists")
        if len(parents) > MAX_LAYERS:
            raise SystemFailure("max depth exceeded")
        for chain in parents:
            if self._layers.layer(chain) is None:
                raise NotFound(f"layer {chain} does not exist")
        snapshot = Snapshot(key, tuple(parents), init)
        self._snapshots[key] = snapshot      # holds the layers from now on
        try:
            if init:
                await self._ensure_init(snapshot)
            directory = self._active / key
            for name, mode in (("", 0o700), ("fs", 0o755), ("work", 0o700), ("merged", 0o700)):
                path = directory / name
                path.mkdir(exist_ok=True)
                path.chmod(mode)
            faults.point("snapshot: made")
            self._store.put(SNAPSHOT_KIND, key, snapshot)
        except BaseException as error:
            del self._snapshots[key]
            await asyncio.to_thread(self._discard, self._active / key)
            if isinstance(error, OSError):
                raise SystemFailure(f"prepare snapshot {key}: {error.strerror}") from error
            raise

    def rootfs(self, key: str) -> Path:
        """Where ``mount`` puts it."""
        return self._active / key / "merged"

    def upper(self, key: str) -> Path:
        """The writable directory itself."""
        return self._active / key / "fs"

    def has(self, key: str) -> bool:
        return key in self._snapshots

    def keys(self) -> list[str]:
        return list(self._snapshots)

    def parents(self, key: str) -> tuple[str, ...]:
        return self._get(key).parents

    async def mount(self, key: str) -> Path:
        """Mount it (fine when it is mounted already); the path of the root filesystem."""
        snapshot = self._get(key)
        target = self.rootfs(key)
        try:
            await asyncio.to_thread(self._mount, snapshot)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise SystemFailure(f"error creating overlay mount to {target}: {reason}") from error
        return target

    async def unmount(self, key: str) -> None:
        """Fine when it is not mounted."""
        try:
            await asyncio.to_thread(_unmount_all, self.rootfs(key))
        except OSError as error:
            raise SystemFailure(f"{error.strerror}: {self.rootfs(key)}") from error

    async def remove(self, key: str) -> None:
        """Unmount and delete; fine when it is gone."""
        if key in self._snapshots:
            self._store.delete(SNAPSHOT_KIND, key)
            del self._snapshots[key]
        faults.point("snapshot remove: forgotten")
        try:
            await asyncio.to_thread(self._discard, self._active / key)
        except OSError as error:
            raise SystemFailure(f"remove snapshot {key}: {error.strerror}") from error

    async def changes(self, key: str) -> list[Change]:
        """Docker's diff of the snapshot against its parents."""
        snapshot = self._get(key)
        lowers = [self._root / lower for lower in self._lowers(snapshot)]
        return await asyncio.to_thread(changes, self.upper(key), lowers)

    async def usage(self, key: str) -> int:
        """Bytes that the snapshot itself holds (Docker's SizeRw)."""
        self._get(key)
        return await asyncio.to_thread(files.tree_size, self.upper(key))

    async def commit(self, key: str, *, keep: bool = True) -> LayerInfo:
        """The upper becomes a layer on top of the parents, its tar a blob of the content store.

        ``keep=False``: the upper directory itself is taken (no copy): the snapshot is unmounted and removed.
        The new layer is kept for an hour, then only while an image, a snapshot or another holder names it.
        """
        snapshot = self._get(key)
        scratch = self._content.scratch(secrets.token_hex(8))
        try:
            diff_id, blob, size = await asyncio.to_thread(_write_layer, self.upper(key), scratch)
            with self._layers.lease([diff_id]):
                await self._register(snapshot, scratch, diff_id, blob, size, keep)
                chain = self._chain(snapshot.parents, diff_id)
                self._layers.keep_awhile(chain)
                return LayerInfo(chain, diff_id, size)
        except OSError as error:
            raise SystemFailure(f"commit {key}: {error.strerror}") from error
        finally:
            scratch.unlink(missing_ok=True)

    async def _register(
        self, snapshot: Snapshot, scratch: Path, diff_id: str, blob: str, size: int, keep: bool
    ) -> None:
        blob_size = scratch.stat().st_size
        if self._layers.diff(diff_id) is None:
            directory = self._layers.scratch()
            try:
                if keep:
                    await self._unpack(scratch, directory / "fs")
                else:
                    await self.unmount(snapshot.key)
                    (directory / "fs").rmdir()
                    os.rename(self.upper(snapshot.key), directory / "fs")
                await asyncio.to_thread(self._content.commit, scratch, blob)
                self._layers.add_diff(directory, diff_id, size, blob, blob_size, LAYER_TYPE)
                faults.point("commit: layer")
            except BaseException:
                await asyncio.to_thread(files.remove_tree, directory)
                raise
        if not keep:
            await self.remove(snapshot.key)
        self._layers.add_chain([*(self._diff_id(chain) for chain in snapshot.parents), diff_id])

    async def _unpack(self, blob: Path, target: Path) -> None:
        descriptor = os.open(blob, os.O_RDONLY | os.O_CLOEXEC)
        try:
            async with UnpackProcess(descriptor, target) as process:
                process.whole()
                await process.result()
        finally:
            os.close(descriptor)

    def _diff_id(self, chain: str) -> str:
        layer = self._layers.layer(chain)
        assert layer is not None
        return layer.diff_id

    def _chain(self, parents: tuple[str, ...], diff_id: str) -> str:
        return chain_id(parents[-1] if parents else "", diff_id)

    def used_chains(self) -> set[str]:
        """Chains that a snapshot stands on."""
        return {chain for snapshot in self._snapshots.values() for chain in snapshot.parents}

    async def drop_init(self, chains: list[str]) -> None:
        """Init layers of chains that are gone."""
        for chain in chains:
            directory = self._init / chain[7:23]
            if directory.exists():
                await asyncio.to_thread(self._discard, directory)

    # -- below: in threads

    def _get(self, key: str) -> Snapshot:
        snapshot = self._snapshots.get(key)
        if snapshot is None:
            raise NotFound(f"snapshot {key} does not exist")
        return snapshot

    def _init_name(self, parents: tuple[str, ...]) -> str:
        return parents[-1][7:23] if parents else "scratch"

    def _layer_directories(self, parents: tuple[str, ...]) -> list[str]:
        """Topmost first. overlayfs refuses a directory twice (ELOOP); of a diff that comes twice (two steps that
        change nothing) only the upper one counts anyhow."""
        return list(dict.fromkeys(self._layers.relative(chain) for chain in reversed(parents)))

    def _lowers(self, snapshot: Snapshot) -> list[str]:
        """Directories from the root of the snapshots, topmost first."""
        lowers = self._layer_directories(snapshot.parents)
        if snapshot.init:
            lowers.insert(0, f"init/{self._init_name(snapshot.parents)}/fs")
        return lowers

    def _mount(self, snapshot: Snapshot) -> None:
        target = self.rootfs(snapshot.key)
        if mount.is_mountpoint(target):
            return
        base = f"active/{snapshot.key}"
        self._overlay(self._lowers(snapshot), f"{base}/fs", f"{base}/work", f"{base}/merged")

    def _overlay(self, lowers: list[str], upper: str, work: str, target: str) -> None:
        if not lowers:
            mount.in_directory(self._root, lambda: mount.bind(upper, target))
            return
        data = f"lowerdir={':'.join(lowers)},upperdir={upper},workdir={work},{_OPTIONS}"
        mount.in_directory(self._root, lambda: mount.mount("overlay", target, "overlay", 0, data))

    def _discard(self, directory: Path) -> None:
        _unmount_all(directory / "merged")
        files.remove_tree(directory)

    async def _ensure_init(self, snapshot: Snapshot) -> None:
        name = self._init_name(snapshot.parents)
        if (self._init / name).exists():
            return
        lock = self._init_locks.setdefault(name, asyncio.Lock())
        async with lock:
            if not (self._init / name).exists():
                await asyncio.to_thread(self._make_init, snapshot, name)
        self._init_locks.pop(name, None)

    def _make_init(self, snapshot: Snapshot, name: str) -> None:
        """Build the init layer through a mount, so that the image's own directories keep their attributes."""
        temporary = self._init / f".{secrets.token_hex(8)}"
        try:
            for part in ("fs", "work", "merged"):
                (temporary / part).mkdir(parents=True)
            base = f"init/{temporary.name}"
            lowers = self._layer_directories(snapshot.parents)
            self._overlay(lowers, f"{base}/fs", f"{base}/work", f"{base}/merged")
            try:
                _fill_init(temporary / "merged")
            finally:
                _unmount_all(temporary / "merged")
            os.rename(temporary, self._init / name)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        finally:
            files.remove_tree(temporary)


def _unmount_all(target: Path) -> None:
    """Every mount at ``target``, busy ones detached."""
    while True:
        try:
            if not mount.umount(target, mount.UMOUNT_NOFOLLOW):
                return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            if not mount.umount(target, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW):
                return


def _fill_init(root: Path) -> None:
    """Docker's init layer: what is missing of the mount points and files. A symlink in the way is the image's wish."""
    for name, mode in _INIT_DIRECTORIES:
        _init_parent(root, name + "/x", mode)
    for name in _INIT_FILES:
        if _init_parent(root, name, 0o755) and not os.path.lexists(root / name):
            (root / name).touch()
            (root / name).chmod(0o755)
    if _init_parent(root, "etc/mtab", 0o755) and not os.path.lexists(root / "etc/mtab"):
        (root / "etc/mtab").symlink_to("/proc/mounts")


def _init_parent(root: Path, name: str, mode: int) -> bool:
    """Make the directories above ``name``; False when something else than a directory is in the way."""
    here = root
    for part in name.split("/")[:-1]:
        here = here / part
        try:
            info = here.lstat()
        except FileNotFoundError:
            here.mkdir()
            here.chmod(mode)
            continue
        if not stat.S_ISDIR(info.st_mode):
            return False
    return True


def _write_layer(upper: Path, target: Path) -> tuple[str, str, int]:
    """The tar of ``upper``, gzipped, to ``target``: (diff id, digest of the file, size)."""
    import hashlib

    plain, packed = hashlib.sha256(), hashlib.sha256()
    # igzip's level 1: 400 MB/s here, a third of the size; the layer can then be pushed as it is
    compressor = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)
    pending: list[bytes] = []
    held = 0
    with open(target, "wb") as file:

        def put(data: bytes) -> None:
            if data:
                packed.update(data)
                file.write(data)

        def flush() -> None:
            nonlocal held
            data = b"".join(pending)
            pending.clear()
            held = 0
            plain.update(data)
            put(compressor.compress(data))

        def write(data: bytes) -> None:
            nonlocal held
            pending.append(data)
            held += len(data)
            if held >= 1 << 20:
                flush()

        writer = LayerWriter(write)
        writer.tree(str(upper))
        flush()
        put(compressor.flush())
    return "sha256:" + plain.hexdigest(), "sha256:" + packed.hexdigest(), writer.size
