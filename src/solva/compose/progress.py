"""What a plan's execution shows: lines as Docker Compose writes them, a live tree on a terminal, JSON, or nothing."""

from __future__ import annotations

import os
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

ENDED = frozenset(("Created", "Started", "Running", "Healthy", "Exited", "Recreated", "Stopped", "Removed", "Killed",
                   "Paused", "Unpaused", "Restarted", "Pulled", "Built", "Skipped", "Error", "Interrupted",
                   "Resource is still in use", "Pushed", "Published", "Renamed"))
_KINDS = ("Network", "Volume", "Image", "Container")
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Row:
    """One thing on the screen."""

    __slots__ = ("begun", "detail", "ended", "state")

    def __init__(self, state: str, detail: str, now: float) -> None:
        self.state = state
        self.detail = detail
        self.begun = now
        self.ended = 0.0


class Progress:
    """``mode``: auto | tty | plain | json | quiet. As a context it keeps a terminal's tree alive meanwhile."""

    def __init__(self, mode: str = "auto", *, dry_run: bool = False, ansi: bool = True, title: str = "Running") -> None:
        self.out = sys.stderr
        if mode == "auto":
            mode = "tty" if ansi and self.out.isatty() else "plain"
        self.mode = mode
        self.ansi = ansi and not os.environ.get("NO_COLOR")
        self.title = title
        self.prefix = " DRY-RUN MODE - " if dry_run else ""
        self.lock = threading.RLock()
        self.rows: dict[str, Row] = {}
        self.drawn = 0
        self.begun = time.monotonic()
        self.depth = 0
        self.stopped: threading.Event | None = None

    # --- what is told --------------------------------------------------------------------------------------------
    def event(self, subject: str, state: str, detail: str = "") -> None:
        """``subject`` (``Container p-web-1``) is now in ``state``."""
        if not subject or not state or self.mode == "quiet":
            return
        with self.lock:
            row = self.rows.get(subject)
            if row is not None and (row.state, row.detail) == (state, detail):
                return
            now = time.monotonic()
            if row is None:
                row = self.rows[subject] = Row(state, detail, now)
            elif row.ended and state not in ENDED:
                row.begun, row.ended = now, 0.0
            row.state, row.detail = state, detail
            if state.partition(" (")[0] in ENDED:
                row.ended = now
            if self.mode == "json":
                self._json(subject, state, detail)
            elif self.mode == "tty":
                self.draw()
            else:
                self.out.write(f"{self.prefix} {subject}  {state} {detail}".rstrip() + "\n")
                self.out.flush()

    def measure(self, subject: str, detail: str) -> None:
        """How far ``subject`` has come: pulled bytes, the build's step. Only a live display shows it."""
        if self.mode not in ("tty", "json"):
            return
        with self.lock:
            row = self.rows.get(subject)
            if row is None or row.detail == detail:
                return
            row.detail = detail
            if self.mode == "json":
                self._json(subject, row.state, detail)

    def log(self, subject: str, line: str) -> None:
        """A line of output that belongs to ``subject``: of a build or a hook."""
        if self.mode == "quiet":
            return
        if self.mode == "json":
            with self.lock:
                self._json(subject, "Log", line)
            return
        self.say(f"{subject}  | {line}")

    def say(self, text: str) -> None:
        """A line of its own, above a live tree."""
        if self.mode in ("quiet", "json"):
            return
        with self.lock:
            self._erase()
            self.out.write(text + "\n")
            self.out.flush()
            if self.mode == "tty" and self.depth:
                self.draw()

    def _json(self, subject: str, state: str, detail: str) -> None:
        from solva.client.fastjson import dumps

        status = "Error" if state == "Error" else "Done" if state in ENDED else "Working"
        entry: dict[str, Any] = {"id": subject, "status": status, "text": state}
        if detail:
            entry["details"] = detail
        if self.prefix:
            entry["dry-run"] = True
        self.out.write(dumps(entry) + "\n")
        self.out.flush()

    # --- the live tree -------------------------------------------------------------------------------------------
    def __enter__(self) -> Progress:
        self.depth += 1
        if self.mode == "tty" and self.depth == 1:
            self.stopped = threading.Event()
            threading.Thread(target=self._animate, args=(self.stopped,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.depth -= 1
        if self.stopped is not None and not self.depth:
            self.stopped.set()
            self.stopped = None
            self.pause()

    def _animate(self, stopped: threading.Event) -> None:
        while not stopped.wait(0.12):
            with self.lock:
                if not stopped.is_set():
                    self.draw()

    def pause(self) -> None:
        """Something else writes now: what is drawn stays."""
        with self.lock:
            if self.mode == "tty" and self.rows:
                self.draw(final=True)
            self.drawn = 0
            self.rows.clear()
            self.begun = time.monotonic()

    def _erase(self) -> None:
        if self.drawn:
            self.out.write(f"\x1b[{self.drawn}A\x1b[J")
            self.drawn = 0

    def draw(self, *, final: bool = False) -> None:
        """Write the tree over the one that is there."""
        try:
            columns, height = os.get_terminal_size(self.out.fileno())
        except (OSError, ValueError):
            columns, height = 80, 24
        lines = self.tree(columns or 80, 10_000 if final else max((height or 24) - 1, 4))
        up = f"\x1b[{self.drawn}A" if self.drawn else ""
        self.out.write(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
        self.out.flush()
        self.drawn = len(lines)

    def tree(self, columns: int, height: int) -> list[str]:
        """The lines: a heading, then networks, volumes, images, containers, each with its state, time and detail."""
        now = time.monotonic()
        ended = sum(bool(row.ended) for row in self.rows.values())
        lines = [f"{self.prefix}[+] {self.title} {ended}/{len(self.rows)}"]
        groups: dict[str, list[tuple[str, Row]]] = {}
        for subject, row in self.rows.items():
            kind, space, name = subject.partition(" ")
            if not space or kind not in _KINDS:
                kind, name = "", subject
            groups.setdefault(kind, []).append((name, row))
        width = max((len(name) for rows in groups.values() for name, _ in rows), default=0)
        room = height - 1 - len(groups)
        crowded = len(self.rows) > room
        for kind in (*_KINDS, ""):
            rows = groups.get(kind)
            if not rows:
                continue
            if kind:
                lines.append(f" {kind}s")
            shown = [item for item in rows if not crowded or not item[1].ended][:room]
            if len(shown) < len(rows):
                lines.append(f"   … {len(rows) - len(shown)} more")
            for index, (name, row) in enumerate(shown):
                branch = ("└" if index == len(shown) - 1 else "├") if kind else " "
                lines.append(self._row(branch, name, row, width, columns, now))
        return lines

    def _row(self, branch: str, name: str, row: Row, width: int, columns: int, now: float) -> str:
        took = (row.ended or now) - row.begun
        state, _, reason = row.state.partition(" (")
        if state in ("Error", "Interrupted", "Resource is still in use"):
            mark, colour = "✘", "31"
        elif row.ended:
            mark, colour = ("✔", "32") if state != "Skipped" else ("-", "33")
        else:
            mark, colour = _SPINNER[int(now * 8) % len(_SPINNER)], "33"
        detail = row.detail or (f"({reason}" if reason else "")
        head = f" {branch} {mark} {name.ljust(width)}  {state.ljust(11)} {took:5.1f}s"
        rest = (f"  {detail}" if detail else "")[: max(columns - len(head) - 1, 0)]
        if not self.ansi:
            return head[: columns - 1] + rest
        shown = f" {branch} \x1b[{colour}m{mark}\x1b[0m {name.ljust(width)}  \x1b[{colour}m{state.ljust(11)}\x1b[0m"
        return f"{shown} \x1b[34m{took:5.1f}s\x1b[0m{rest}" if len(head) < columns else head[: columns - 1]
