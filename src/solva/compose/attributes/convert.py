"""From what is written to the model's one form: each function takes a value and its place.

They raise ValueError (the text is shown with the attribute's place) and never look at other attributes. What is given
is the merged, canonical value (see `load.transform`) that the schema has accepted.
"""

from __future__ import annotations

from solva.compose.attributes import units
from solva.compose.attributes.short import short_port, short_volume
from solva.compose.attributes.units import text

__all__ = ["short_port", "short_volume"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Path = tuple[str | int, ...]
    Convert = Callable[[Any, Path], Any]

_GO = {str: "string", int: "int", float: "float64", bool: "bool", list: "[]interface {}",
       dict: "map[string]interface {}"}


def unfit(value: Any, wanted: str) -> ValueError:
    """The error for a value of another type."""
    return ValueError(f"expected type '{wanted}', got unconvertible type '{_GO.get(type(value), 'nil')}'")


# --- scalars --------------------------------------------------------------------------------------------------------
def same(value: Any, path: Path) -> Any:
    """As written."""
    return value


def string(value: Any, path: Path = ()) -> str:
    """A string; whole numbers count as one."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise unfit(value, "string")


def boolean(value: Any, path: Path = ()) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return units.boolean(value)
    raise unfit(value, "bool")


def integer(value: Any, path: Path = ()) -> int:
    """A whole number; fractions are cut off."""
    if isinstance(value, str):
        return units.integer(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unfit(value, "int")
    return int(value)


def unsigned(value: Any, path: Path = ()) -> int:
    if isinstance(value, str):
        raise unfit(value, "uint64")
    result = integer(value)
    if result < 0:
        raise ValueError(f"cannot parse value as 'uint64': {result} overflows uint")
    return result


def number32(value: Any, path: Path = ()) -> int | float:
    """A number with single precision, as Compose keeps ``cpus``."""
    import struct

    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise unfit(value, "float32")
    exact = units.number(value) if isinstance(value, str) else float(value)
    single = struct.unpack("f", struct.pack("f", exact))[0]
    for digits in range(6, 10):
        shown = float(f"{single:.{digits}g}")
        if struct.unpack("f", struct.pack("f", shown))[0] == single:
            return units.compact(shown)
    return units.compact(single)


def size(value: Any, path: Path = ()) -> str:
    """Bytes, as a decimal string. A fraction without a unit is nothing, as in Compose."""
    return "0" if isinstance(value, float) else str(units.size(value))


def duration(value: Any, path: Path = ()) -> str:
    """Go's duration text."""
    return units.show_duration(units.duration(value))


def count(value: Any, path: Path = ()) -> int:
    """A device count: ``all`` is -1."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError(f"invalid type {_GO.get(type(value))} for device count")
    if value.lower() == "all":
        return -1
    try:
        return units.integer(value)
    except ValueError:
        raise ValueError(f'invalid value "{value}", the only value allowed is \'all\' or a number') from None


def mode(value: Any, path: Path = ()) -> str:
    """A file mode: octal text."""
    if isinstance(value, str):
        try:
            return f"0{int(value, 8):o}"
        except ValueError:
            raise ValueError(f'strconv.ParseInt: parsing "{value}": invalid syntax (modes are octal)') from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"unexpected value type {_GO.get(type(value))} for mode")
    return f"0{value:o}"


# --- lists and mappings ---------------------------------------------------------------------------------------------
class Items:
    """A list of ``of``."""

    def __init__(self, of: Convert) -> None:
        self.of = of

    def __call__(self, value: Any, path: Path = ()) -> Any:
        if not isinstance(value, list):
            raise ValueError(f"source data must be an array or slice, got {_GO.get(type(value))}")
        return [self.of(item, (*path, index)) for index, item in enumerate(value) if item is not None]


class TableOf:
    """A mapping to ``of``; a key may have no value."""

    def __init__(self, of: Convert) -> None:
        self.of = of

    def __call__(self, value: Any, path: Path = ()) -> Any:
        if not isinstance(value, dict):
            raise unfit(value, "map")
        return {key: None if item is None else self.of(item, (*path, key)) for key, item in value.items()}


class Record:
    """A mapping with known keys; keys without a value have that of ``defaults`` or are left out."""

    def __init__(self, fields: dict[str, Convert], *, extensions: bool = True,
                 defaults: dict[str, Any] | None = None) -> None:
        self.fields = fields
        self.extensions = extensions
        self.defaults = defaults or {}

    def __call__(self, value: Any, path: Path = ()) -> Any:
        if not isinstance(value, dict):
            raise unfit(value, "map")
        result: dict[str, Any] = dict(self.defaults)
        for key, item in value.items():
            field = self.fields.get(key)
            if field is not None:
                if item is not None:
                    result[key] = placed(field, item, (*path, key))
            elif self.extensions and key.startswith("x-"):
                result[key] = item
        return result


items, table_of, record = Items, TableOf, Record


class Misfit(ValueError):
    """A value that does not fit, with its place."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


def placed(convert: Convert, value: Any, path: Path) -> Any:
    """``convert(value, path)``; its ValueError gets the place."""
    try:
        return convert(value, path)
    except Misfit:
        raise
    except (ValueError, OverflowError) as error:
        raise Misfit(path, str(error)) from None


strings = items(string)


def string_list(value: Any, path: Path = ()) -> list[str]:
    """A list of strings; one string is a list of one."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"invalid type {_GO.get(type(value))} for string list")
    return list(value)


def texts(value: Any, path: Path = ()) -> list[str]:
    """A list of scalars as strings."""
    return [text(item) for item in value] if isinstance(value, list) else [text(value)]


def command(value: Any, path: Path = ()) -> list[str] | None:
    """Shell words."""
    if value is None:
        return None
    if isinstance(value, list):
        return [text(item) for item in value]
    return words(text(value))


def words(line: str) -> list[str]:
    """``line`` split as Compose splits commands: quotes and backslashes; it ends at an unquoted ``;&|<>``."""
    found: list[str] = []
    word = ""
    some = escaped = False
    quotes: set[str] = set()      # which of ' " ` and ) are open
    for char in line:
        if escaped:
            word += char
            escaped, some = False, True
        elif char == "\\" and "'" not in quotes:
            escaped = True
        elif char in " \t\r\n":
            if quotes:
                word += char
            elif some:
                found.append(word)
                word, some = "", False
        elif char in "\"'" and not quotes & {"'" if char == '"' else '"', ")"}:
            some = some or char in quotes
            quotes ^= {char}
        elif char == "(" and not quotes & {"'", '"', "`"}:
            if ")" in quotes or not word.endswith("$"):
                raise ValueError(f"invalid command line string: unexpected ( in {line!r}")
            quotes.add(")")
            word += char
        elif char in ";&|<>" and not quotes:
            some = some and not (char == ">" and word[:1].isdigit())
            break
        else:
            if char in "`)" and not quotes & {"'", '"', ")" if char == "`" else "`"}:
                quotes ^= {char}
            some = True
            word += char
    if some:
        found.append(word)
    if escaped or quotes:
        what = "a backslash ends" if escaped else "a quote is left open in"
        raise ValueError(f"invalid command line string: {what} {line!r}")
    return found


def table(value: Any, path: Path = ()) -> dict[str, str | None]:
    """``KEY=VALUE`` items or a mapping; a key alone is None."""
    if isinstance(value, dict):
        return {key: None if item is None else text(item) for key, item in value.items()}
    if not isinstance(value, list):
        raise ValueError(f"unexpected value type {_GO.get(type(value))} for mapping")
    result: dict[str, str | None] = {}
    for item in value:
        key, equals, rest = text(item).partition("=")
        if key[-1:].isspace():
            raise ValueError(f"environment variable {key} is declared with a trailing space")
        result[key] = rest if equals else None
    return result


def labels(value: Any, path: Path = ()) -> dict[str, str]:
    """`table` with empty strings for missing values."""
    if isinstance(value, dict):
        return {key: "" if item is None else text(item) for key, item in value.items()}
    if not isinstance(value, list):
        raise ValueError(f"unexpected value type {_GO.get(type(value))} for labels")
    pairs = (text(item).partition("=") for item in value)
    return {key: rest for key, _, rest in pairs}


def options(value: Any, path: Path = ()) -> dict[str, str]:
    """A mapping of scalars as strings."""
    if not isinstance(value, dict):
        raise ValueError(f"invalid type {_GO.get(type(value))} for options")
    return {key: "" if item is None else text(item) for key, item in value.items()}


def plain_options(value: Any, path: Path = ()) -> dict[str, str]:
    """A mapping of strings."""
    if not isinstance(value, dict):
        raise unfit(value, "map[string]string")
    return {key: "" if item is None else string(item) for key, item in value.items()}


def many_options(value: Any, path: Path = ()) -> dict[str, list[str]]:
    """A mapping of scalars and lists of them, as lists of strings."""
    if not isinstance(value, dict):
        raise ValueError(f"invalid type {_GO.get(type(value))} for options")
    return {key: texts(item) for key, item in value.items()}


def hosts(value: Any, path: Path = ()) -> list[str]:
    """``host=address`` items, sorted. ``host:address``, ``host=address``, brackets around IPv6, or a mapping."""
    pairs: list[tuple[str, str]] = []
    if isinstance(value, dict):
        for host, address in value.items():
            if not isinstance(address, str | list | None):
                raise ValueError(f"unexpected value type {_GO.get(type(address))} for extra_hosts entry")
            pairs += [(host, text(item)) for item in (address if isinstance(address, list) else [address or ""])]
    else:
        for item in value if isinstance(value, list) else [value]:
            whole = text(item)
            separator = "=" if "=" in whole else ":"
            host, found, addresses = whole.partition(separator)
            if not found:
                raise ValueError(f"invalid additional host, missing IP: {whole}")
            pairs += [(host, address) for address in addresses.split(",")]
    for host, _ in pairs:
        if not host or ":" in host or "=" in host:
            raise ValueError(f"bad host name '{host}'")
    return sorted(f"{host}={_bare(address)}" for host, address in pairs)


def _bare(address: str) -> str:
    return address[1:-1] if len(address) > 2 and address[0] == "[" and address[-1] == "]" else address


def health_test(value: Any, path: Path = ()) -> list[str]:
    if isinstance(value, str):
        return ["CMD-SHELL", value]
    return [text(item) for item in value]


def ulimit(value: Any, path: Path = ()) -> int | dict[str, int]:
    """A number for both limits, or each: ``{soft, hard}``."""
    if not isinstance(value, dict):
        return integer(value) or {"soft": 0, "hard": 0}
    return {key: integer(value.get(key) or 0) for key in ("soft", "hard")}


def ssh(value: Any, path: Path = ()) -> list[str]:
    """``default`` or ``id=path`` items, sorted."""
    return sorted(key if item is None else f"{key}={text(item)}" for key, item in value.items())
