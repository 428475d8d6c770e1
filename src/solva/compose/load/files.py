"""One file, or several in order, to one canonical mapping: parse, interpolate, validate, canonical, extends, merge."""

from __future__ import annotations

import os
import sys

from solva.compose.errors import ComposeError
from solva.compose.load import merge, paths
from solva.compose.load.canonical import canonical
from solva.compose.load.interpolate import interpolate
from solva.compose.load.validate import cast, validate
from solva.compose.load.yaml import parse_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.load.options import LoadOptions
    from solva.compose.load.yaml import Document


def read(file: str) -> str:
    """A compose file's text; ``-`` is standard input."""
    if file == "-":
        return sys.stdin.read()
    try:
        with open(file, encoding="utf-8-sig") as stream:
            return stream.read()
    except FileNotFoundError:
        raise ComposeError(f"open {file}: no such file or directory") from None
    except UnicodeDecodeError as error:
        raise ComposeError(f"failed to parse {file}: yaml: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise ComposeError(f"read {file}: {(error.strerror or str(error)).lower()}") from None


def load_files(files: list[str], options: LoadOptions, chain: tuple[str, ...] = ()) -> dict[str, Any]:
    """All ``files``, later ones over earlier ones, includes merged in."""
    from solva.compose.load.extends import apply_extends

    content: dict[str, Any] = {}
    first = True
    for file in files:
        for document in parse_all(read(file), file):
            value = one(document, options)
            if options.interpolate or "services" in value:
                value = apply_extends(value, document, options)
            for path in (*document.resets, *document.overrides):
                content = merge.remove(content, path)
            value = merge.once(value)
            if value.get("include"):
                from solva.compose.load.include import apply_include

                value = apply_include(value, file, options, (*chain, file))
            content = value if first else merge.merge_files(content, value)
            first = False
    content.pop("include", None)
    return content


def one(document: Document, options: LoadOptions) -> dict[str, Any]:
    """One document: canonical, its own paths still relative."""
    value = document.value
    if value is None:
        raise ComposeError("empty compose file")
    if not isinstance(value, dict):
        raise ComposeError(f"{document.place(())}: top-level object must be a mapping")
    for section in ("services", "networks", "volumes", "secrets", "configs"):
        if section in value and value[section] is not None and not isinstance(value[section], dict):
            raise ComposeError(f"{document.place((section,))}: {section} must be a mapping")
        if section in value and value[section] is None:
            value[section] = {}
    if "version" in value:
        options.warn(f"{document.file}: the attribute `version` is obsolete, it will be ignored, "
                     "please remove it to avoid potential confusion")
    if options.interpolate:
        value = interpolate(value, options.environment, options.warn, document.place, cast)
    validate(value, document) if options.interpolate else None
    value.pop("version", None)
    return canonical(value, document, strict=options.interpolate)


def load_other(file: str, options: LoadOptions) -> tuple[dict[str, Any], Document]:
    """A file named by ``extends``: its services are used one by one, so nothing else of it matters."""
    document = parse_all(read(file), file)[0]
    value = one(document, options)
    return (paths.resolve(value, os.path.dirname(file)) if options.resolve_paths else value), document
