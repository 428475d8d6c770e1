"""Command lines as Docker's: flags in pflag's grammar, its error texts, values by kind.

A `Command` is data; the parser is this one. argparse would cost 10 ms and speak another grammar.
"""

from __future__ import annotations

from solva.cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.cli.session import Session

    Convert = Callable[[str], Any]


class Flag:
    """One flag. ``kind`` is what help shows and how the text becomes a value; ``convert`` checks or changes it.

    Kinds: ``bool`` takes no argument; ``list``, ``map``, ``filter``, ``strings`` and those named in `REPEATED` gather;
    any other keeps the last.
    """

    __slots__ = ("convert", "default", "help", "hidden", "kind", "name", "shorthand", "shown_default")

    def __init__(self, name: str, shorthand: str, kind: str, help: str, *, default: Any = None,
                 convert: Convert | None = None, hidden: bool = False, shown_default: str = "") -> None:
        self.name = name
        self.shorthand = shorthand
        self.kind = kind
        self.help = help
        self.convert = convert
        self.hidden = hidden
        self.shown_default = shown_default
        self.default = default if default is not None else _ZERO.get(kind, "")

    @property
    def title(self) -> str:
        """``-t, --timeout``, as errors name the flag."""
        return f"-{self.shorthand}, --{self.name}" if self.shorthand else f"--{self.name}"


REPEATED = frozenset(("list", "map", "filter", "strings", "mount", "network", "ulimit", "gpu-request"))
_ZERO: dict[str, Any] = {"bool": False, "int": 0, "uint16": 0, "bytes": 0, "duration": 0, "decimal": 0}


class Command:
    """A verb: how it is called, what it takes, the function behind it.

    ``arity`` is (least, most) of positional arguments, most None for no limit. ``interspersed`` False stops reading
    flags at the first positional argument (`run`, `exec`: the rest belongs to the container's command).
    """

    __slots__ = ("aliases", "arity", "flags", "interspersed", "long", "name", "run", "short", "usage")

    def __init__(self, name: str, usage: str, short: str, run: Callable[[Session, Options], int], *,
                 flags: tuple[Flag, ...] = (), arity: tuple[int, int | None] = (0, None),
                 aliases: tuple[str, ...] = (), interspersed: bool = True, long: str = "") -> None:
        self.name = name
        self.usage = usage
        self.short = short
        self.run = run
        self.flags = flags
        self.arity = arity
        self.aliases = aliases
        self.interspersed = interspersed
        self.long = long


class Options:
    """The parsed command line: values by flag name, positional ``args``, and which flags were given."""

    __slots__ = ("args", "changed", "command", "values")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.args: list[str] = []
        self.changed: set[str] = set()
        self.values: dict[str, Any] = {}

    def on(self, name: str) -> bool:
        """A bool flag."""
        return bool(self.values.get(name, False))

    def text(self, name: str) -> str:
        """A flag with one value."""
        return str(self.values.get(name, "") or "")

    def number(self, name: str) -> int:
        """An int, bytes, duration (nanoseconds) or decimal (nano units) flag."""
        return int(self.values.get(name) or 0)

    def many(self, name: str) -> list[Any]:
        """A repeated flag's values in order."""
        return list(self.values.get(name) or [])


def parse(command: Command, argv: list[str]) -> Options:
    """``argv`` after the verb as `Options`; UsageError in pflag's words."""
    options = Options(command)
    values = options.values
    by_name: dict[str, Flag] = {}
    by_letter: dict[str, Flag] = {}
    for flag in command.flags:
        by_name[flag.name] = flag
        if flag.shorthand:
            by_letter[flag.shorthand] = flag
        values[flag.name] = [] if flag.kind in REPEATED else flag.default
    index, count = 0, len(argv)
    while index < count:
        word = argv[index]
        index += 1
        if word == "--":
            options.args += argv[index:]
            break
        if len(word) < 2 or word[0] != "-":
            options.args.append(word)
            if not command.interspersed:
                options.args += argv[index:]
                break
        elif word[1] == "-":
            name, equals, value = word[2:].partition("=")
            if not name or name[0] in "-=":
                raise UsageError(f"bad flag syntax: {word}", command=command)
            found = by_name.get(name)
            if found is None:
                if name == "help":
                    raise HelpWanted(command)
                raise UsageError(f"unknown flag: --{name}", command=command)
            if not equals:
                if found.kind == "bool":
                    value = "true"
                elif index < count:
                    value = argv[index]
                    index += 1
                else:
                    raise UsageError(f"flag needs an argument: {word}", command=command)
            _set(options, found, value)
        else:
            index = _letters(options, by_letter, word, argv, index)
    if not values.get("help"):      # of verbs whose -h is something else: nothing more is needed to show help
        _check_arity(command, options.args)
    return options


def _letters(options: Options, by_letter: dict[str, Flag], word: str, argv: list[str], index: int) -> int:
    """A cluster such as ``-it`` or ``-p80:80``; the index after what it took."""
    command = options.command
    rest = word[1:]
    while rest:
        letter, rest = rest[0], rest[1:]
        flag = by_letter.get(letter)
        if flag is None:
            if letter == "h":
                raise HelpWanted(command)
            raise UsageError(f"unknown shorthand flag: '{letter}' in -{letter}{rest}", command=command)
        if rest[:1] == "=":
            value, rest = rest[1:], ""
        elif flag.kind == "bool":
            value = "true"
        elif rest:
            value, rest = rest, ""
        elif index < len(argv):
            value = argv[index]
            index += 1
        else:
            raise UsageError(f"flag needs an argument: '{letter}' in {word}", command=command)
        _set(options, flag, value)
    return index


class HelpWanted(Exception):
    """``--help`` was given."""

    def __init__(self, command: Command) -> None:
        super().__init__(command.name)
        self.command = command


def _set(options: Options, flag: Flag, text: str) -> None:
    try:
        builtin = _CONVERT.get(flag.kind)
        value: Any = builtin(text) if builtin is not None else text
        if flag.convert is not None:
            value = flag.convert(value)
    except ValueError as error:
        raise UsageError(f'invalid argument {go_quoted(text)} for "{flag.title}" flag: {error}',
                         command=options.command) from None
    options.changed.add(flag.name)
    if flag.kind == "strings":
        options.values[flag.name] += value
    elif flag.kind in REPEATED:
        options.values[flag.name].append(value)
    else:
        options.values[flag.name] = value


def _check_arity(command: Command, args: list[str]) -> None:
    least, most = command.arity
    count = len(args)
    if count >= least and (most is None or count <= most):
        return
    name = f"solva {command.name}"
    if most == 0:
        message = f"'{name}' accepts no arguments"
    elif most is None:
        message = f"'{name}' requires at least {least} argument{'s' * (least != 1)}"
    elif least == most:
        message = f"'{name}' requires {least} argument{'s' * (least != 1)}"
    elif least == 0:
        message = f"'{name}' requires at most {most} argument{'s' * (most != 1)}"
    else:
        message = f"'{name}' requires at least {least} and at most {most} arguments"
    raise UsageError(f"solva: {message}", 1, command=command)


def go_quoted(text: str) -> str:
    """``text`` as Go's %q."""
    from solva.client.fastjson import quoted

    return quoted(text)


# --- kinds --------------------------------------------------------------------------------------------------------

def parse_bool(text: str) -> bool:
    """Go's strconv.ParseBool."""
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ValueError(f"strconv.ParseBool: parsing {go_quoted(text)}: invalid syntax")


def parse_int(text: str) -> int:
    """Go's strconv.ParseInt with base 0."""
    try:
        body = text.lower()
        if body != body.strip() or body.startswith("__"):
            raise ValueError
        digits = body.lstrip("+-")
        if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
            value = int(body, 8)
        else:
            value = int(body, 0)
    except ValueError:
        raise ValueError(f"strconv.ParseInt: parsing {go_quoted(text)}: invalid syntax") from None
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"strconv.ParseInt: parsing {go_quoted(text)}: value out of range")
    return value


def parse_uint16(text: str) -> int:
    """Go's strconv.ParseUint for 16 bits."""
    try:
        value = parse_int(text)
        if value < 0:
            raise ValueError
    except ValueError:
        raise ValueError(f"strconv.ParseUint: parsing {go_quoted(text)}: invalid syntax") from None
    if value > 65535:
        raise ValueError(f"strconv.ParseUint: parsing {go_quoted(text)}: value out of range")
    return value


_BYTE_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def parse_bytes(text: str) -> int:
    """A size such as ``512m``, ``1.5g``, ``64MiB`` in bytes (go-units' RAMInBytes)."""
    cut = max((index for index, char in enumerate(text) if char.isdigit() or char == "."), default=-1) + 1
    number, unit = text[:cut], text[cut:]
    if not cut or number.count(".") > 1 or not (number[0].isdigit() or number[0] == ".") or number == ".":
        raise ValueError(f"invalid size: '{text}'")
    if unit[:1] == " ":
        unit = unit[1:]
    try:
        size = float(number)
    except ValueError:
        raise ValueError(f"invalid size: '{text}'") from None
    unit = unit.lower()
    if not unit or unit == "b":
        return int(size)
    if unit[0] in _BYTE_UNITS and unit[1:] in ("", "b", "ib"):
        return int(size * _BYTE_UNITS[unit[0]])
    raise ValueError(f"invalid suffix: '{text[cut:].lstrip()}'")


_DURATION_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 1_000_000, "s": 1_000_000_000,
                   "m": 60_000_000_000, "h": 3_600_000_000_000}


def parse_duration(text: str) -> int:
    """Go's time.ParseDuration: nanoseconds."""
    body = text
    sign = 1
    if body[:1] in ("+", "-"):
        sign = -1 if body[0] == "-" else 1
        body = body[1:]
    if body == "0":
        return 0
    if not body:
        raise ValueError(f"time: invalid duration {go_quoted(text)}")
    total = 0.0
    while body:
        cut = 0
        while cut < len(body) and (body[cut].isdigit() or body[cut] == "."):
            cut += 1
        number, body = body[:cut], body[cut:]
        if not number or number == "." or number.count(".") > 1:
            raise ValueError(f"time: invalid duration {go_quoted(text)}")
        cut = 0
        while cut < len(body) and not (body[cut].isdigit() or body[cut] == "."):
            cut += 1
        unit, body = body[:cut], body[cut:]
        if not unit:
            raise ValueError(f"time: missing unit in duration {go_quoted(text)}")
        if unit not in _DURATION_UNITS:
            raise ValueError(f"time: unknown unit {go_quoted(unit)} in duration {go_quoted(text)}")
        total += float(number) * _DURATION_UNITS[unit]
    return sign * round(total)


def parse_decimal(text: str) -> int:
    """A number of CPUs in billionths."""
    try:
        whole, _, bottom = text.partition("/")
        value = float(whole) / float(bottom) if bottom else float(whole)
        nano = round(value * 1_000_000_000)
    except (ValueError, OverflowError, ZeroDivisionError):
        raise ValueError(f"failed to parse {text} as a rational number") from None
    if "." in text and len(text.partition(".")[2].rstrip("0")) > 9:
        raise ValueError("value is too precise")
    return nano


def parse_filter(text: str) -> tuple[str, str]:
    """``name=value`` of --filter."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError("bad format of filter (expected name=value)")
    return name.strip().lower(), value.strip()


def parse_csv(text: str) -> list[str]:
    """One CSV record: commas, with quotes where a field has one."""
    if '"' not in text:
        return text.split(",") if text else []
    import csv

    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration):
        raise ValueError(f"parse error on line 1, column {text.index(chr(34)) + 1}: bare \" in non-quoted-field") \
            from None


_CONVERT: dict[str, Convert] = {
    "bool": parse_bool, "int": parse_int, "uint16": parse_uint16, "bytes": parse_bytes, "duration": parse_duration,
    "decimal": parse_decimal, "filter": parse_filter, "strings": parse_csv,
}


def filters_of(pairs: list[tuple[str, str]]) -> dict[str, list[str]] | None:
    """--filter values as the API's ``filters``; None when there are none."""
    result: dict[str, list[str]] = {}
    for name, value in pairs:
        result.setdefault(name, []).append(value)
    return result or None
