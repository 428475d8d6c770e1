"""Lists of objects: the default table, ``--quiet``, ``--format`` with a template or ``json``."""

from __future__ import annotations

import sys

from solva.cli.output.table import align, clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    Columns = Mapping[str, tuple[str, Callable[[Any], Any]]]


class Listing:
    """How a kind of object is listed.

    ``columns``: placeholder name -> (header, value of a row); in the order of nothing in particular. ``default``: the
    table's columns. ``quiet``: the column of ``-q``. ``methods``: placeholders that take arguments (``.Label "x"``).
    ``type_name`` is what a template error calls a row.
    """

    __slots__ = ("columns", "default", "methods", "quiet", "type_name")

    def __init__(self, columns: Columns, default: tuple[str, ...], quiet: str, type_name: str,
                 methods: Mapping[str, tuple[str, Callable[..., Any]]] | None = None) -> None:
        self.columns = columns
        self.default = default
        self.quiet = quiet
        self.type_name = type_name
        self.methods = methods or {}

    def show(self, rows: Iterable[Any], *, format: str = "", quiet: bool = False) -> None:
        """Print ``rows``."""
        sys.stdout.write(self.text(rows, format=format, quiet=quiet))

    def text(self, rows: Iterable[Any], *, format: str = "", quiet: bool = False) -> str:
        """What `show` prints."""
        if quiet and format in ("", "table"):
            value = self.columns[self.quiet][1]
            return "".join(f"{clean(str(value(row)))}\n" for row in rows)
        if format in ("", "table"):
            return self.table(rows)
        if format == "json":
            return "".join(self._json(row) + "\n" for row in rows)
        return self._template(rows, format)

    def table(self, rows: Iterable[Any]) -> str:
        """The default table."""
        picked = [self.columns[name] for name in self.default]
        cells = [[header for header, _ in picked]]
        for row in rows:
            cells.append([clean(str(value(row))) for _, value in picked])
        return "\n".join(align(cells)) + "\n"

    def _json(self, row: Any) -> str:
        from solva.cli.output.gojson import compact

        return compact({name: value(row) for name, (_, value) in self.columns.items()}, html=True, sort=True)

    def _template(self, rows: Iterable[Any], format: str) -> str:
        from solva.cli.output.template import Template, TemplateError

        table = format.startswith("table")
        source = format[5:].strip() if table else format
        source = source.replace("\\t", "\t").replace("\\n", "\n")
        try:
            template = Template(source)
        except TemplateError as error:
            raise TemplateError(f"failed to parse template: {error}") from None
        try:
            lines = [template.render(Row(self, row)) for row in rows]
            if not table:
                return "".join(f"{line}\n" for line in lines)
            lines.insert(0, template.render(Headers(self)))
        except TemplateError as error:
            raise error.begun("failed to execute template") from None
        cells = [[clean(cell) for cell in part.split("\t")] for line in lines for part in line.split("\n")]
        return "\n".join(align(cells)) + "\n"


class Row:
    """A row as a template sees it: ``.Name`` is a column's value."""

    __slots__ = ("_listing", "_row")

    def __init__(self, listing: Listing, row: Any) -> None:
        self._listing = listing
        self._row = row

    def template_field(self, name: str, args: list[Any]) -> Any:
        """The value of ``.name`` with arguments; LookupError when there is none such."""
        if name in self._listing.methods:
            return self._listing.methods[name][1](self._row, *args)
        return self._listing.columns[name][1](self._row)

    def template_type(self) -> str:
        return self._listing.type_name

    def template_json(self) -> dict[str, Any]:
        row = self._row
        return {name: value(row) for name, (_, value) in sorted(self._listing.columns.items())}


class Headers:
    """The header line's row: ``.Name`` is the column's header."""

    __slots__ = ("_listing",)

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def template_field(self, name: str, args: list[Any]) -> Any:
        """The header of ``.name``."""
        if name in self._listing.methods:
            return args[0] if args else self._listing.methods[name][0]
        return self._listing.columns[name][0]

    def template_type(self) -> str:
        return self._listing.type_name

    def template_json(self) -> dict[str, Any]:
        return {name: header for name, (header, _) in sorted(self._listing.columns.items())}
