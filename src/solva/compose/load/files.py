"""Files to one canonical mapping. Each: parse, interpolate, extends, include, merge, validate, long forms."""

from __future__ import annotations

import sys

from solva.compose.attributes.convert import Misfit
from solva.compose.errors import ComposeError
from solva.compose.load import checks, environment, merge, paths, transform, unique
from solva.compose.load.interpolate import interpolate
from solva.compose.load.reset import reset
from solva.compose.load.yaml import parse_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.load.options import LoadOptions
    from solva.compose.load.yaml import Document

_stdin: list[str] = []


def read(file: str) -> str:
    """A compose file's text; ``-`` is standard input, which is read once."""
    if file == "-":
        if not _stdin:
            _stdin.append(sys.stdin.read())
        return _stdin[0]
    try:
        with open(file, encoding="utf-8-sig") as stream:
            return stream.read()
    except FileNotFoundError:
        raise ComposeError(f"open {file}: no such file or directory") from None
    except UnicodeDecodeError as error:
        raise ComposeError(f"failed to parse {file}: yaml: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise ComposeError(f"read {file}: {(error.strerror or str(error)).lower()}") from None


def load_model(files: list[str], options: LoadOptions, chain: tuple[str, ...] = ()) -> dict[str, Any]:
    """All ``files``, later ones over earlier ones, includes in; checked, paths from ``options.working_dir``."""
    content: dict[str, Any] = {}
    for file in files:
        for document in parse_all(read(file), file):
            content = _add(document, content, options, (*chain, file))
    try:
        content = transform.set_defaults(content)
        checks.check(content)
        if options.resolve_paths:
            content = paths.resolve(content, options.working_dir)
    except Misfit as error:
        raise _placed(error, options) from None
    environment.resolve(content, options.environment)
    return content


def load_document(file: str, options: LoadOptions) -> tuple[dict[str, Any], Document]:
    """A file named by ``extends``: no extends, includes or validation yet; its last document comes with it."""
    content: dict[str, Any] = {}
    documents = parse_all(read(file), file)
    for document in documents:
        content = _meet(content, _interpolated(document, options), options)
        content = _long(content, options)
    if not documents:
        raise ComposeError(f"{file}: empty compose file")
    return content, documents[-1]


def _interpolated(document: Document, options: LoadOptions) -> dict[str, Any]:
    options.places.add(document)
    value = document.value
    if not isinstance(value, dict):
        raise ComposeError(f"{document.place(())}: top-level object must be a mapping")
    result: dict[str, Any] = interpolate(value, options) if options.interpolate else value
    return result


def _add(document: Document, content: dict[str, Any], options: LoadOptions, chain: tuple[str, ...]) -> dict[str, Any]:
    """One document over what came before."""
    from solva.compose.load.validate import validate

    value = _interpolated(document, options)
    try:
        if "services" in value:
            from solva.compose.load.extends import apply_extends

            apply_extends(value, document, options)
        reset(content, document)
        if "include" in value:
            from solva.compose.load.include import apply_include

            apply_include(value, options, chain)
        content = _meet(content, value, options)
    except Misfit as error:
        raise _placed(error, options) from None
    validate(content, options.places)
    for section in ("networks", "models"):      # the schema lets odd names through, whatever they hold
        for name, entry in (content.get(section) or {}).items():
            if not isinstance(entry, dict | None):
                raise ComposeError(f"{options.places.place((section, name))}: {section}.{name} must be a mapping")
    if content.pop("version", None) is not None:
        options.warn(f"{document.file}: the attribute `version` is obsolete, it will be ignored, "
                     "please remove it to avoid potential confusion")
    return _long(content, options)


def _meet(content: dict[str, Any], value: dict[str, Any], options: LoadOptions) -> dict[str, Any]:
    return unique.enforce(merge.merge_files(content, value))


def _long(content: dict[str, Any], options: LoadOptions) -> dict[str, Any]:
    try:
        # Long forms can reveal repeats: a range of ports, a volume's target.
        return unique.enforce(transform.canonical(content, lenient=not options.interpolate, warn=options.warn))
    except Misfit as error:
        raise _placed(error, options) from None


def _placed(error: Misfit, options: LoadOptions) -> ComposeError:
    return ComposeError(f"{options.places.place(error.path)}: {error}")
