"""RUN [--mount --network --security] command | ["program", "arg"] | heredoc"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import flags_of
from solva.build.runmounts import RunMount, parse_mount

if TYPE_CHECKING:
    from solva.build.stage import Stage

PROXY_ARGS = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy", "NO_PROXY",
              "no_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True, slots=True)
class Run:
    """Mounts with their variables still in them."""

    node: Node
    mounts: tuple[RunMount, ...]
    network: str

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(mount.from_ for mount in self.mounts if mount.from_)

    def words(self, shell: tuple[str, ...]) -> tuple[str, ...]:
        """The command: JSON as it is, a text behind the shell. A lone heredoc is the shell's whole script."""
        if self.node.json is not None:
            return self.node.json
        text = self.node.rest
        documents = self.node.heredocs
        if self.interpreted():
            return (*shell, f"/dev/pipes/{documents[0].name}")
        if len(documents) == 1 and text.split(None, 1) == [text] and text.startswith(("<<", "0<<")):
            return (*shell, documents[0].content)
        for document in documents:
            text += f"\n{document.content}{document.name}"
        return (*shell, text)

    def interpreted(self) -> bool:
        """Whether a lone heredoc begins with ``#!`` and is to be run as a program."""
        documents = self.node.heredocs
        return (self.node.json is None and len(documents) == 1 and len(self.node.rest.split()) == 1
                and documents[0].content.startswith("#!"))

    async def apply(self, stage: Stage) -> None:
        state = stage.state
        words = self.words(state.shell)
        shown = [f"{name}={state.env.get(name, '')}" for name in state.args]
        created_by = "RUN " + (f"|{len(shown)} {' '.join(shown)} " if shown else "") + f"{' '.join(words)} # buildkit"
        mounts = [mount.expanded(stage, self.node) for mount in self.mounts]
        inputs = ["RUN", repr(words), repr(self.node.heredocs), repr(sorted(state.env.items())),
                  state.workdir, state.config.get("User") or "",
                  self.network or stage.build.options.network_mode, repr(stage.build.options.extra_hosts)]
        for mount in mounts:
            inputs.append(await mount.fingerprint(stage))

        async def make(root: Path) -> None:
            await self._execute(stage, root, words, mounts)

        await stage.async_layer(created_by, inputs, make, init=True)

    async def _execute(self, stage: Stage, root: Path, words: tuple[str, ...], mounts: list[RunMount]) -> None:
        from contextlib import AsyncExitStack

        from solva.build.collaborators import StepMount, StepSpec
        from solva.build.failures import StepFailed
        from solva.build.stubs import Stubs
        from solva.ids import new_id

        options, state = stage.build.options, stage.state
        env = dict(state.env)
        for name in PROXY_ARGS:
            found, value = stage.build.arguments.given(name)
            if found and value is not None:
                env.setdefault(name, value)
        stage.secret_env = {}
        async with AsyncExitStack() as stack:
            prepared = [await mount.prepare(stage, stack) for mount in mounts]
            real = [mount for mount in prepared if mount is not None]
            if self.interpreted():
                script = stage.inline("heredoc", self.node.heredocs[0].content.encode(), 0o755)
                real.append(StepMount("bind", words[-1], script.path, read_only=True))
            env |= {name: value for name, value in stage.secret_env.items() if name not in env}
            targets = {mount.target: mount.kind == "tmpfs" or os.path.isdir(mount.source) for mount in real}
            stubs = Stubs(str(root), targets)
            spec = StepSpec(
                f"build{new_id()[:16]}", root, words, tuple(f"{name}={value}" for name, value in env.items()),
                state.workdir, state.config.get("User") or "", stage.channel.data, stage.channel.error_data,
                tuple(real), self.network or options.network_mode, options.extra_hosts, options.shm_size,
                options.memory, options.memory_swap, options.cpu_shares, options.cpu_period, options.cpu_quota,
                options.cpuset_cpus, tuple((limit.name, limit.soft, limit.hard) for limit in options.ulimits))
            code = await stage.build.services.steps.run(spec)
            stubs.remove()
        if code != 0:
            raise StepFailed(words, code, os.path.basename(stage.build.options.dockerfile), self.node)


def parse(node: Node) -> Run:
    found = flags_of(node, values=("network", "security"), several=("mount",))
    network = found.get("network", ["default"])[0]
    if network not in ("default", "none", "host"):
        raise node.error(f'invalid network mode "{network}"')
    security = found.get("security", ["sandbox"])[0]
    if security != "sandbox":
        raise node.error(f'security mode "{security}" is not supported: steps run with a container\'s default rights')
    return Run(node, tuple(parse_mount(node, text) for text in found.get("mount", ())),
               "" if network == "default" else network)
