"""The shortcuts of an attached ``up``: a line at the bottom of the terminal, keys read without Enter."""

from __future__ import annotations

import os
import select
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from solva.cli.commands.compose.foreground import Session


class Menu:
    """While inside, ``w`` toggles watching, ``d`` detaches; ^C stays what it is."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.before: list[Any] = []
        self.wake: tuple[int, int] = (-1, -1)

    def __enter__(self) -> Menu:
        import termios

        self.before = termios.tcgetattr(0)
        mode = termios.tcgetattr(0)
        mode[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(0, termios.TCSANOW, mode)
        self.wake = os.pipe()
        self.session.printer.footer = self.line
        threading.Thread(target=self.read, daemon=True).start()
        self.session.printer.redraw()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        import termios

        os.write(self.wake[1], b"x")
        self.session.printer.footer = None
        sys.stdout.write("\r\x1b[2K")
        sys.stdout.flush()
        termios.tcsetattr(0, termios.TCSANOW, self.before)

    def line(self) -> str:
        """The footer."""
        watch = "Disable" if self.session.watcher is not None else "Enable"
        return f"\x1b[7m w \x1b[0m {watch} watch   \x1b[7m d \x1b[0m Detach   \x1b[7m ^C \x1b[0m Stop"

    def read(self) -> None:
        while True:
            ready, _, _ = select.select([0, self.wake[0]], [], [])
            if self.wake[0] in ready:
                return
            key = os.read(0, 1)
            if key in (b"w", b"W"):
                self.toggle()
            elif key in (b"d", b"D"):
                self.session.detach()
                return
            elif not key:
                return

    def toggle(self) -> None:
        try:
            self.session.toggle_watch()
        except Exception as error:
            self.session.printer.notice(str(error))
        self.session.printer.redraw()
