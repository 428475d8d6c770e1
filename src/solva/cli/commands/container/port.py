"""``solva port``: a container's port mappings."""

from __future__ import annotations

from solva.cli.errors import CommandError
from solva.cli.flags import Command
from solva.cli.output.order import natural
from solva.cli.session import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Print all mappings, or the host's side of one."""
    container = session.api.json("GET", f"/containers/{options.args[0]}/json")
    ports = (container.get("NetworkSettings") or {}).get("Ports") or {}
    if len(options.args) > 1:
        port, _, proto = options.args[1].partition("/")
        key = f"{port}/{proto or 'tcp'}"
        bindings = ports.get(key)
        if not bindings:
            raise CommandError(f"Error: No public port '{options.args[1]}' published for {options.args[0]}")
        lines = [_address(binding) for binding in bindings]
    else:
        lines = [f"{port} -> {_address(binding)}" for port, bindings in ports.items() for binding in bindings or []]
    for line in sorted(lines, key=natural):
        say(line)
    return 0


def _address(binding: dict[str, str]) -> str:
    ip = binding.get("HostIp", "")
    return f"[{ip}]:{binding['HostPort']}" if ":" in ip else f"{ip}:{binding['HostPort']}"


COMMAND = Command("port", "CONTAINER [PRIVATE_PORT[/PROTO]]", "List port mappings or a specific mapping of a container",
                  run, arity=(1, 2), aliases=("container port", "port"))
