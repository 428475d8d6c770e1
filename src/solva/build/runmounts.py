"""RUN --mount: bind, cache, tmpfs, secret, ssh."""

from __future__ import annotations

import hashlib
import os
import posixpath
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from solva.build import rootpath
from solva.build.dockerfile.ast import Node
from solva.errors import InvalidParameter

if TYPE_CHECKING:
    from solva.build.collaborators import StepMount
    from solva.build.stage import Stage

KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
_TRUE = ("", "true", "1")
_MODES = {"secret": 0o400, "ssh": 0o600}


@dataclass(frozen=True, slots=True)
class RunMount:
    """One mount; strings still have their variables until ``expanded``. ``env``: the variable that a secret is in."""

    kind: str
    target: str = ""
    source: str = ""
    from_: str = ""
    read_only: bool = False
    id: str = ""
    sharing: str = "shared"
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    size: int = 0
    required: bool = False
    env: str = ""

    def expanded(self, stage: Stage, node: Node) -> RunMount:
        target = stage.expand(node, self.target)
        absolute = posixpath.normpath(posixpath.join("/", stage.state.workdir, target)) if target else ""
        return replace(self, target=absolute,
                       source=stage.expand(node, self.source), id=stage.expand(node, self.id))

    async def fingerprint(self, stage: Stage) -> str:
        """What of the mount counts for the cache: of a bind its files, of others that they are there."""
        if self.kind != "bind":
            return repr((self.kind, self.target, self.id))
        from solva.build import copyfiles

        spec = copyfiles.CopySpec((self.source or ".",), "/", keep_owner=bool(self.from_))
        return repr((self.target, self.read_only, await stage.fingerprint(spec, self.from_)))

    async def prepare(self, stage: Stage, stack: AsyncExitStack) -> StepMount | None:
        """The mount for the step's runner; what it needs is kept until ``stack`` unwinds. None: nothing to mount."""
        from solva.build.collaborators import StepMount

        if self.kind == "tmpfs":
            return StepMount("tmpfs", self.target, size=self.size)
        if self.kind == "cache":
            return StepMount("bind", self.target, await self._cache(stage, stack), self.read_only)
        if self.kind == "bind":
            return StepMount("bind", self.target, await self._bind(stage, stack), self.read_only)
        if self.kind == "secret":
            return await self._secret(stage, stack)
        return await self._ssh(stage, stack)

    async def _secret(self, stage: Stage, stack: AsyncExitStack) -> StepMount | None:
        """A file of the build's own directory, gone with the step; None for one that is only a variable (``env``)."""
        from solva.build.collaborators import StepMount

        data = await stage.build.session.secret(self.id)
        if data is None:
            if self.required:
                raise InvalidParameter(f"secret {self.id}: not found: give it with --secret id={self.id},src=FILE")
            stage.channel.warn(f"secret {self.id} was not given: {self.target or self.env} does not exist in this step")
            return None
        if self.env:
            stage.secret_env[self.env] = data.decode("utf-8", "replace")
        if not self.target:
            return None
        return StepMount("bind", self.target, self._private_file(stage, stack, data), read_only=True)

    def _private_file(self, stage: Stage, stack: AsyncExitStack, data: bytes) -> str:
        from solva.kernel import files

        folder = stage.build.scratch / f"secret-{os.urandom(6).hex()}"
        folder.mkdir(mode=0o700)
        stack.callback(files.remove_tree, folder)
        path = folder / "data"
        path.write_bytes(data)
        os.chown(path, self.uid, self.gid)
        path.chmod(self.mode)
        return str(path)

    async def _ssh(self, stage: Stage, stack: AsyncExitStack) -> StepMount | None:
        from solva.build.collaborators import StepMount

        agent = stage.build.session.ssh(self.id)
        if agent is None:
            if self.required:
                raise InvalidParameter(f"ssh {self.id}: not found: give it with --ssh {self.id}")
            stage.channel.warn(f"ssh {self.id} was not given: {self.target} does not exist in this step")
            return None
        path = await stack.enter_async_context(agent)
        os.chown(path, self.uid, self.gid)
        path.chmod(self.mode)
        stage.secret_env.setdefault("SSH_AUTH_SOCK", self.target)
        return StepMount("bind", self.target, str(path))

    async def _bind(self, stage: Stage, stack: AsyncExitStack) -> str:
        """A read-write bind is a copy: what the step writes there is forgotten."""
        import asyncio

        from solva.kernel import files

        tree = await stage.build.tree(self.from_)
        source = rootpath.inside(tree.root, self.source or "/")
        if not os.path.lexists(source):
            raise InvalidParameter(f"failed to compute cache key: {self.source!r}: not found")
        if self.read_only:
            return source
        copy = stage.build.scratch / f"bind-{os.urandom(6).hex()}"
        stack.callback(files.remove_tree, copy)
        if os.path.isdir(source):
            copy.mkdir()
            await asyncio.to_thread(files.copy_tree, source, copy)
        else:
            await asyncio.to_thread(files.copy_file, source, str(copy))
        return str(copy)

    async def _cache(self, stage: Stage, stack: AsyncExitStack) -> str:
        """A directory that outlives the build. ``locked`` waits for other steps, ``private`` takes a free one."""
        name = hashlib.sha256((self.id or self.target).encode()).hexdigest()[:24]
        mounts = stage.build.services.cache_mounts
        if self.sharing == "private":
            path = stack.enter_context(mounts.private(name))
        else:
            path = mounts.path(name)
            if self.sharing == "locked":
                await stack.enter_async_context(mounts.lock(name))
        if not path.exists():
            path.mkdir(parents=True)
            rootpath.own(str(path), self.uid, self.gid)
            path.chmod(self.mode)
            if self.from_:
                from solva.kernel import files

                tree = await stage.build.tree(self.from_)
                files.copy_tree(rootpath.inside(tree.root, self.source or "/"), path)
        mounts.describe(name, self.id or self.target)
        return str(path)


def parse_mount(node: Node, text: str) -> RunMount:
    """``type=cache,target=/x,…``. DockerfileError in Docker's words."""
    fields: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        key = {"dst": "target", "destination": "target", "src": "source", "readonly": "ro", "rw": "readwrite"}.get(
            key.strip().lower(), key.strip().lower())
        if not equals and key not in ("ro", "readwrite", "required"):
            raise node.error(f"invalid field '{part}' must be a key=value pair")
        fields[key] = value.strip()
    kind = fields.pop("type", "bind")
    if kind not in KINDS:
        raise node.error(f'unsupported mount type "{kind}"')
    allowed = {"bind": {"target", "source", "from", "ro", "readwrite"}, "tmpfs": {"target", "size"},
               "cache": {"target", "source", "from", "ro", "readwrite", "id", "sharing", "mode", "uid", "gid"},
               "secret": {"target", "id", "required", "mode", "uid", "gid", "env"},
               "ssh": {"target", "id", "required", "mode", "uid", "gid"}}[kind]
    unknown = set(fields) - allowed
    if unknown:
        raise node.error(f"unexpected key '{sorted(unknown)[0]}' for mount type '{kind}'")
    return _mount(node, kind, fields)


def _mount(node: Node, kind: str, fields: dict[str, str]) -> RunMount:
    target, identifier = fields.get("target", ""), fields.get("id", "")
    if kind == "secret":
        if not target and not identifier:
            raise node.error("invalid mount: target or id is required for a secret")
        identifier = identifier or posixpath.basename(target)
        target = target or ("" if fields.get("env") else f"/run/secrets/{identifier}")
    elif kind == "ssh":
        identifier = identifier or "default"
        target = target or "/run/buildkit/ssh_agent.0"
    elif not target:
        raise node.error(f'"target" is required for mount type "{kind}"')
    if "$" in fields.get("from", ""):
        raise node.error("variable expansion is not supported for from in --mount")
    sharing = fields.get("sharing", "shared")
    if sharing not in ("shared", "private", "locked"):
        raise node.error(f'unsupported sharing value "{sharing}"')
    read_only = kind == "bind"
    if "readwrite" in fields:
        read_only = fields["readwrite"].lower() not in _TRUE
    if "ro" in fields:
        read_only = fields["ro"].lower() in _TRUE
    return RunMount(kind, target, fields.get("source", ""), fields.get("from", ""), read_only, identifier, sharing,
                    _number(node, fields, "mode", 8, _MODES.get(kind, 0o755)), _number(node, fields, "uid", 10, 0),
                    _number(node, fields, "gid", 10, 0), _size(node, fields),
                    "required" in fields and fields["required"].lower() in _TRUE, fields.get("env", ""))


def _number(node: Node, fields: dict[str, str], key: str, base: int, default: int) -> int:
    try:
        return int(fields[key], base) if key in fields else default
    except ValueError:
        raise node.error(f"invalid value {fields[key]} for {key}") from None


def _size(node: Node, fields: dict[str, str]) -> int:
    text = fields.get("size", "0").lower().rstrip("b")
    unit = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}.get(text[-1:], 1)
    try:
        return int(float(text[:-1] if unit > 1 else text or "0") * unit)
    except (ValueError, OverflowError):
        raise node.error(f"invalid value for size: {fields['size']}") from None
