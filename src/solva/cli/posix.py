"""Signals without ``import signal``: that module costs 7 ms for its enums; its C half is always loaded."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

handle = _signal.signal
set_wakeup_fd = _signal.set_wakeup_fd
default_int_handler = _signal.default_int_handler

# Linux's numbers, by the names Docker's API and Compose files use.
NUMBERS = {
    "HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10,
    "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CONT": 18, "STOP": 19,
    "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28,
    "IO": 29, "PWR": 30, "SYS": 31,
}
NAMES = {number: name for name, number in NUMBERS.items()}
SIGINT, SIGTERM, SIGWINCH = 2, 15, 28
SIG_DFL, SIG_IGN = _signal.SIG_DFL, _signal.SIG_IGN
