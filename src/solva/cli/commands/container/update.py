"""``solva update``: limits and restart policy of existing containers."""

from __future__ import annotations

from solva.cli.commands.container.create_flags import CREATE
from solva.cli.commands.container.request import restart_policy
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.session import response_error, say, warn
from solva.client.transport import EngineUnreachable
from solva.errors import SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session

_KEYS = {"blkio-weight": "BlkioWeight", "cpu-period": "CpuPeriod", "cpu-quota": "CpuQuota",
         "cpu-rt-period": "CpuRealtimePeriod", "cpu-rt-runtime": "CpuRealtimeRuntime", "cpu-shares": "CpuShares",
         "cpus": "NanoCpus", "cpuset-cpus": "CpusetCpus", "cpuset-mems": "CpusetMems", "memory": "Memory",
         "memory-reservation": "MemoryReservation", "memory-swap": "MemorySwap", "pids-limit": "PidsLimit"}


def run(session: Session, options: Options) -> int:
    """Send what was given to each container."""
    if not options.changed:
        raise CommandError("you must provide one or more flags when using this command")
    body: dict[str, Any] = {key: options.values[name] for name, key in _KEYS.items() if name in options.changed}
    if "restart" in options.changed:
        body["RestartPolicy"] = restart_policy(options.text("restart"))
    status = 0
    for name in options.args:
        try:
            answer = session.api.json("POST", f"/containers/{name}/update", body=body)
        except EngineUnreachable:
            raise
        except SolvaError as error:
            warn(response_error(error))
            status = 1
            continue
        say(name)
        for text in (answer or {}).get("Warnings") or []:
            warn(text)
    return status


COMMAND = Command(
    "update", "[OPTIONS] CONTAINER [CONTAINER...]", "Update the configuration of one or more containers", run,
    flags=(*(flag for flag in CREATE if flag.name in _KEYS),
           Flag("restart", "", "string", "What to do when the container exits")),
    arity=(1, None), aliases=("container update", "update"),
)
