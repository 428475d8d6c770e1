"""``solva stats``: resource usage, live or once."""

from __future__ import annotations

import sys
import threading

from solva.cli.commands.common import LIST_FORMAT, NO_TRUNC
from solva.cli.flags import Command, Flag
from solva.cli.output.listing import Listing
from solva.cli.output.units import binary_size, human_size
from solva.cli.session import response_error, warn
from solva.errors import SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


class _Row:
    """One container's newest sample."""

    def __init__(self, name: str) -> None:
        self.asked = name
        self.sample: dict[str, Any] | None = None
        self.ended = False


def run(session: Session, options: Options) -> int:
    """Show containers named, or all that run."""
    names = options.args
    if not names:
        found = session.api.json("GET", "/containers/json", query={"all": options.on("all") or None})
        names = [row["Id"] for row in found]
    rows = [_Row(name) for name in names]
    failures: list[str] = []
    stream = not options.on("no-stream")
    threads = [threading.Thread(target=_follow, args=(session, row, stream, failures), daemon=True) for row in rows]
    for thread in threads:
        thread.start()
    if not stream:
        for thread in threads:
            thread.join()
        for text in failures:
            warn(text)
        if len(failures) < len(rows) or not rows:
            sys.stdout.write(_table(rows, options))
        return int(bool(failures))
    changed = threading.Event()
    terminal = sys.stdout.isatty()
    while True:
        changed.wait(0.5)
        for text in failures:
            warn(text)
        if failures:
            return 1
        sys.stdout.write(("\x1b[2J\x1b[H" if terminal else "") + _table(rows, options))
        sys.stdout.flush()
        if options.args and all(row.ended for row in rows):
            return 0


def _follow(session: Session, row: _Row, stream: bool, failures: list[str]) -> None:
    try:
        with session.api.request("GET", f"/containers/{row.asked}/stats", query={"stream": stream}) as response:
            for sample in response.lines():
                row.sample = sample
    except SolvaError as error:
        failures.append(response_error(error))
    row.ended = True


def _table(rows: list[_Row], options: Options) -> str:
    return _listing(not options.on("no-trunc")).text(
        [row for row in rows if row.sample is not None or not options.args], format=options.text("format"))


def cpu_percent(sample: dict[str, Any]) -> float:
    """Share of one CPU since the sample before."""
    now, before = sample.get("cpu_stats") or {}, sample.get("precpu_stats") or {}
    used = (now.get("cpu_usage") or {}).get("total_usage", 0) - (before.get("cpu_usage") or {}).get("total_usage", 0)
    system = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    cpus = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or []) or 1
    return used / system * cpus * 100 if used > 0 and system > 0 else 0.0


def memory_used(memory: dict[str, Any]) -> int:
    """Memory without the inactive page cache, as Docker shows it."""
    stats = memory.get("stats") or {}
    usage = int(memory.get("usage", 0))
    cache = stats.get("total_inactive_file", stats.get("inactive_file", 0))
    return usage - cache if cache < usage else usage


def _listing(truncate: bool) -> Listing:
    def part(row: _Row, *path: str) -> Any:
        value: Any = row.sample or {}
        for key in path:
            value = value.get(key) or {}
        return value

    def network(row: _Row) -> str:
        nets = part(row, "networks").values()
        received, sent = (sum(net[key] for net in nets) for key in ("rx_bytes", "tx_bytes"))
        return f"{human_size(received)} / {human_size(sent)}"

    def block(row: _Row) -> str:
        entries = part(row, "blkio_stats", "io_service_bytes_recursive") or []
        totals = {"r": 0, "w": 0}
        for entry in entries:
            key = (entry.get("op") or " ")[0].lower()
            if key in totals:
                totals[key] += entry.get("value", 0)
        return f"{human_size(totals['r'])} / {human_size(totals['w'])}"

    def memory(row: _Row) -> str:
        stats = part(row, "memory_stats")
        return f"{binary_size(memory_used(stats))} / {binary_size(stats.get('limit', 0))}"

    def memory_percent(row: _Row) -> str:
        stats = part(row, "memory_stats")
        limit = stats.get("limit", 0)
        return f"{memory_used(stats) / limit * 100 if limit else 0:.2f}%"

    def identifier(row: _Row) -> str:
        text = (row.sample or {}).get("id") or row.asked
        return str(text[:12] if truncate else text)

    def or_dashes(show: Any, dashes: str) -> Any:
        return lambda row: show(row) if row.sample is not None and row.sample.get("id") else dashes

    return Listing({
        "Container": ("CONTAINER", lambda row: row.asked),
        "ID": ("CONTAINER ID", identifier),
        "Name": ("NAME", lambda row: (row.sample or {}).get("name", "--").removeprefix("/")),
        "CPUPerc": ("CPU %", or_dashes(lambda row: f"{cpu_percent(row.sample):.2f}%", "--")),
        "MemUsage": ("MEM USAGE / LIMIT", or_dashes(memory, "-- / --")),
        "MemPerc": ("MEM %", or_dashes(memory_percent, "--")),
        "NetIO": ("NET I/O", or_dashes(network, "--")),
        "BlockIO": ("BLOCK I/O", or_dashes(block, "--")),
        "PIDs": ("PIDS", or_dashes(lambda row: str(part(row, "pids_stats").get("current", 0)), "--")),
    }, ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"), "ID", "*container.statsContext")


COMMAND = Command(
    "stats", "[OPTIONS] [CONTAINER...]", "Display a live stream of containers' resource usage", run,
    flags=(
        Flag("all", "a", "bool", "Show all containers (default: only those that run)"),
        Flag("format", "", "string", LIST_FORMAT),
        Flag("no-stream", "", "bool", "Print one sample and end"),
        NO_TRUNC,
    ),
    aliases=("container stats", "stats"),
)
