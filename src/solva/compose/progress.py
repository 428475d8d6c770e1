"""What a plan's execution shows: lines as Docker Compose writes them, a live list on a terminal, JSON, or nothing."""

from __future__ import annotations

import sys
import threading
import time

_ENDED = frozenset(("Created", "Started", "Running", "Healthy", "Exited", "Recreated", "Stopped", "Removed", "Killed",
                    "Paused", "Unpaused", "Restarted", "Pulled", "Built", "Skipped", "Error",
                    "Resource is still in use", "Pushed"))


class Progress:
    """``mode``: auto | tty | plain | json | quiet."""

    def __init__(self, mode: str = "auto", *, dry_run: bool = False, ansi: bool = True) -> None:
        self.out = sys.stderr
        if mode == "auto":
            mode = "tty" if self.out.isatty() and ansi else "plain"
        self.mode = mode
        self.prefix = " DRY-RUN MODE - " if dry_run else ""
        self.lock = threading.Lock()
        self.rows: dict[str, tuple[str, float, float]] = {}
        self.drawn = 0

    def event(self, subject: str, state: str, detail: str = "") -> None:
        """``subject`` is now in ``state``."""
        if not subject or not state or self.mode == "quiet":
            return
        with self.lock:
            if self.mode == "json":
                import json

                self.out.write(json.dumps({"id": subject, "status": "Error" if state == "Error" else
                                           "Done" if state in _ENDED else "Working", "text": state}) + "\n")
            elif self.mode == "tty":
                now = time.monotonic()
                begun = self.rows[subject][1] if subject in self.rows else now
                self.rows[subject] = (f"{state} {detail}".rstrip(), begun, now)
                self._draw()
                return
            else:
                self.out.write(f"{self.prefix} {subject}  {state} {detail}".rstrip() + "\n")
            self.out.flush()

    def _draw(self) -> None:
        width = max(len(subject) for subject in self.rows)
        ended = sum(row[0] in _ENDED for row in self.rows.values())
        lines = [f"[+] Running {ended}/{len(self.rows)}"]
        for subject, (state, begun, last) in self.rows.items():
            done = state in _ENDED
            failed = state.startswith(("Error", "Resource"))
            mark = "\x1b[31m✘\x1b[0m" if failed else "\x1b[32m✔\x1b[0m" if done else "\x1b[33m⠿\x1b[0m"
            colour = "31" if failed else "32" if done else "33"
            lines.append(f" {mark} {subject.ljust(width)}  \x1b[{colour}m{state.ljust(12)}\x1b[0m "
                         f"\x1b[34m{last - begun:4.1f}s\x1b[0m")
        up = f"\x1b[{self.drawn}A" if self.drawn else ""
        self.out.write(up + "".join(f"\x1b[2K{line}\n" for line in lines))
        self.out.flush()
        self.drawn = len(lines)

    def pause(self) -> None:
        """Something else writes now: what is drawn stays."""
        with self.lock:
            self.drawn = 0
            self.rows.clear()
