"""Exec on the wire (API v1.51)."""

from __future__ import annotations

import msgspec

from solva.api.types.container import wire_name


class ExecCreate(msgspec.Struct, rename=wire_name):
    """The body of POST /containers/{id}/exec."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: list[int] | None = None
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach: bool = False
    detach_keys: str = ""
    env: list[str] = []
    working_dir: str = ""
    cmd: list[str] = []


class ExecStart(msgspec.Struct, rename=wire_name):
    """The body of POST /exec/{id}/start."""

    detach: bool = False
    tty: bool = False
    console_size: list[int] | None = None
