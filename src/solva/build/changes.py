"""Dockerfile lines as ``commit --change`` and ``import --change`` take them: metadata instructions only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from solva.build.dockerfile.ast import Node
from solva.build.dockerfile.parser import parse
from solva.build.instructions.registry import parse_command
from solva.build.stage import Stage
from solva.build.stagestate import StageState
from solva.errors import InvalidParameter

ALLOWED = ("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME",
           "WORKDIR")


class _Configured(Stage):
    """A stage that has a configuration and nothing to build."""

    def __init__(self, state: StageState) -> None:
        super().__init__(cast(Any, None), state, cast(Any, None), "")

    async def layer(self, created_by: str, inputs: Sequence[str], make: object) -> None:
        """WORKDIR: the configuration is what is wanted."""
        self.state.note(created_by)


def apply_changes(config: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The ``config`` section of an image after ``changes``; ``config`` itself stays as it is."""
    state = StageState.of_image("", {"config": config}, ())
    if not any(row.startswith("PATH=") for row in config.get("Env") or []):
        state.config["Env"] = [row for row in state.config.get("Env") or [] if not row.startswith("PATH=")]
    stage = _Configured(state)
    for change in changes:
        for node in parse(change).nodes:
            _apply(stage, node)
    return state.config


def _apply(stage: Stage, node: Node) -> None:
    if node.name not in ALLOWED:
        raise InvalidParameter(f"{node.name} is not a valid change command")
    coroutine = parse_command(node).apply(stage)
    loop_free = cast("asyncio.Future[None]", coroutine)     # none of these instructions awaits anything
    try:
        loop_free.send(None)    # type: ignore[attr-defined]
    except StopIteration:
        return
    raise AssertionError(f"{node.name} waits for something")
