"""``--chmod``: octal, or symbolic as chmod(1) writes it (``u=rwX,go-w``)."""

import re
from dataclasses import dataclass

from solva.errors import InvalidParameter

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=][rwxXstugo]*)+)\Z")
_OPERATION = re.compile(r"([-+=])([rwxXstugo]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}


@dataclass(frozen=True, slots=True)
class Chmod:
    """A parsed ``--chmod``; ``text`` as written."""

    text: str
    octal: int | None

    @classmethod
    def parse(cls, text: str) -> "Chmod":
        if re.fullmatch(r"[0-9]+", text):
            try:
                value = int(text, 8)
            except ValueError:
                value = -1
            if 0 <= value <= 0o7777:
                return cls(text, value)
        elif text and all(_CLAUSE.match(clause) for clause in text.split(",")):
            return cls(text, None)
        raise InvalidParameter(f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")

    def apply(self, mode: int, directory: bool) -> int:
        """The permission bits of a file that has ``mode``."""
        if self.octal is not None:
            return self.octal
        for clause in self.text.split(","):
            match = _CLAUSE.match(clause)
            assert match is not None
            who = match[1].replace("a", "ugo") or "ugo"
            for operation, letters in _OPERATION.findall(match[2]):
                mode = _operate(mode, who, operation, letters, directory)
        return mode


def _operate(mode: int, who: str, operation: str, letters: str, directory: bool) -> int:
    before = mode
    for class_ in dict.fromkeys(who):
        shift = _SHIFTS[class_]
        bits = special = 0
        for letter in letters:
            if letter in _BITS:
                bits |= _BITS[letter]
            elif letter == "X":
                bits |= 1 if directory or before & 0o111 else 0
            elif letter in _SHIFTS:
                bits |= before >> _SHIFTS[letter] & 7
            elif letter == "s":
                special |= {"u": 0o4000, "g": 0o2000}.get(class_, 0)
            elif letter == "t":
                special |= 0o1000 if class_ == "o" else 0
        if operation == "+":
            mode |= bits << shift | special
        elif operation == "-":
            mode &= ~(bits << shift | special)
        else:
            mode = mode & ~(7 << shift) | bits << shift
            mode = mode & ~{"u": 0o4000, "g": 0o2000, "o": 0o1000}[class_] | special
    return mode
