"""``solva info``: what the engine is and has."""

from __future__ import annotations

from solva.cli.commands.common import INSPECT
from solva.cli.flags import Command
from solva.cli.output.units import binary_size
from solva.cli.pages import VERSION
from solva.cli.session import response_error, say, warn
from solva.errors import SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Print what GET /info answers."""
    failure = ""
    info: dict[str, Any] = {}
    try:
        info = session.api.json("GET", "/info")
    except SolvaError as error:
        failure = response_error(error)
    client = {"Version": VERSION, "Context": session.endpoint.context, "Debug": session.debug}
    fmt = options.text("format")
    if fmt:
        from solva.cli.output.gojson import compact
        from solva.cli.output.template import Template, TemplateError

        value = {**info, "ClientInfo": client}
        try:
            say(compact(value) if fmt == "json" else Template(fmt).render(value))
        except TemplateError as error:
            raise error.begun("template parsing error") from None
    else:
        say(f"Client:\n Version:    {VERSION}\n Context:    {client['Context']}\n Debug Mode: "
            f"{str(session.debug).lower()}\n\nServer:")
        if info:
            say("\n".join(_lines(info)))
    if failure:
        warn(f"ERROR: {failure}\nerrors pretty printing info")
    for text in info.get("Warnings") or []:
        warn(text)
    return int(bool(failure))


def _lines(info: dict[str, Any]) -> list[str]:
    lines = [f" Containers: {info.get('Containers', 0)}", f"  Running: {info.get('ContainersRunning', 0)}",
             f"  Paused: {info.get('ContainersPaused', 0)}", f"  Stopped: {info.get('ContainersStopped', 0)}",
             f" Images: {info.get('Images', 0)}"]

    def row(label: str, value: Any) -> None:
        if value not in (None, ""):
            lines.append(f" {label}: {str(value).lower() if isinstance(value, bool) else value}")

    row("Server Version", info.get("ServerVersion"))
    row("Storage Driver", info.get("Driver"))
    lines.extend(f"  {name}: {value}" for name, value in info.get("DriverStatus") or [])
    row("Logging Driver", info.get("LoggingDriver"))
    row("Cgroup Driver", info.get("CgroupDriver"))
    row("Cgroup Version", info.get("CgroupVersion"))
    plugins = info.get("Plugins") or {}
    lines.append(" Plugins:")
    lines.extend(f"  {name}: {' '.join(plugins.get(name) or [])}" for name in ("Volume", "Network", "Log"))
    row("Swarm", (info.get("Swarm") or {}).get("LocalNodeState"))
    row("Runtimes", " ".join(sorted(info.get("Runtimes") or {})))
    row("Default Runtime", info.get("DefaultRuntime"))
    row("Init Binary", info.get("InitBinary"))
    options = info.get("SecurityOptions") or []
    if options:
        lines.append(" Security Options:")
        for option in options:
            pairs = [pair.partition("=")[::2] for pair in option.split(",")]
            lines.append(f"  {dict(pairs).get('name', option)}")
            lines.extend(f"   {key.capitalize()}: {value}" for key, value in pairs if key != "name")
    for label, key in (("Kernel Version", "KernelVersion"), ("Operating System", "OperatingSystem"),
                       ("OSType", "OSType"), ("Architecture", "Architecture"), ("CPUs", "NCPU")):
        row(label, info.get(key))
    row("Total Memory", binary_size(info.get("MemTotal", 0)))
    for label, key in (("Name", "Name"), ("ID", "ID"), ("Docker Root Dir", "DockerRootDir"), ("Debug Mode", "Debug"),
                       ("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")):
        row(label, info.get(key))
    if info.get("Labels"):
        lines.append(" Labels:")
        lines.extend(f"  {label}" for label in info["Labels"])
    row("Experimental", info.get("ExperimentalBuild"))
    registry = info.get("RegistryConfig") or {}
    insecure = [name for name, entry in (registry.get("IndexConfigs") or {}).items() if not entry.get("Secure", True)]
    insecure += registry.get("InsecureRegistryCIDRs") or []
    if insecure:
        lines.append(" Insecure Registries:")
        lines.extend(f"  {name}" for name in insecure)
    if registry.get("Mirrors"):
        lines.append(" Registry Mirrors:")
        lines.extend(f"  {name}" for name in registry["Mirrors"])
    row("Live Restore Enabled", info.get("LiveRestoreEnabled"))
    return [*lines, ""]


COMMAND = Command("info", "[OPTIONS]", "Display system-wide information", run, flags=(INSPECT,), arity=(0, 0),
                  aliases=("system info", "info"))
