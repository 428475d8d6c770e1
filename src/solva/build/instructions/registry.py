"""Instruction name to parser: one line each. FROM and ARG before it are the builder's business."""

from collections.abc import Callable

from solva.build.dockerfile.ast import Node
from solva.build.instructions import (
    add,
    arg,
    cmd,
    copy,
    entrypoint,
    env,
    expose,
    healthcheck,
    label,
    maintainer,
    onbuild,
    run,
    shell,
    stopsignal,
    user,
    volume,
    workdir,
)
from solva.build.instructions.base import Command

PARSERS: dict[str, Callable[[Node], Command]] = {
    "ADD": add.parse,
    "ARG": arg.parse,
    "CMD": cmd.parse,
    "COPY": copy.parse,
    "ENTRYPOINT": entrypoint.parse,
    "ENV": env.parse,
    "EXPOSE": expose.parse,
    "HEALTHCHECK": healthcheck.parse,
    "LABEL": label.parse,
    "MAINTAINER": maintainer.parse,
    "ONBUILD": onbuild.parse,
    "RUN": run.parse,
    "SHELL": shell.parse,
    "STOPSIGNAL": stopsignal.parse,
    "USER": user.parse,
    "VOLUME": volume.parse,
    "WORKDIR": workdir.parse,
}


def parse_command(node: Node) -> Command:
    """Any instruction but FROM."""
    return PARSERS[node.name](node)
