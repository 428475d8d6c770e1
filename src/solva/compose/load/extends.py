"""``extends``: a service that starts from another's configuration, of this file or another one."""

from __future__ import annotations

import copy
import os

from solva.compose.errors import ComposeError
from solva.compose.load import paths
from solva.compose.load.merge import merge_service
from solva.compose.load.reset import reset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.load.options import LoadOptions
    from solva.compose.load.yaml import Document

    Chain = tuple[tuple[str, str], ...]


def apply_extends(content: dict[str, Any], document: Document, options: LoadOptions) -> None:
    """Carry out every ``extends`` of the services of ``content``, in place."""
    services = content.get("services")
    if services is None:
        return
    if not isinstance(services, dict):
        raise ComposeError(f"{document.place(('services',))}: services must be a mapping")
    for name in services:
        services[name] = _extended(name, services, document.file, document, options, ())


def _extended(name: str, services: dict[str, Any], file: str, document: Document | None, options: LoadOptions,
              chain: Chain) -> Any:
    entry = services[name]
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise ComposeError(f"{options.places.place(('services', name))}: services.{name} must be a mapping")
    if "extends" not in entry:
        return entry
    reference = entry["extends"]
    base_name = reference.get("service") if isinstance(reference, dict) else reference
    other = reference.get("file") if isinstance(reference, dict) else None
    at = options.places.place(("services", name, "extends"))
    if other is not None and (not isinstance(other, str) or not other):
        raise ComposeError(f"{at}: extends.{name}.file must be a path")
    if not isinstance(base_name, str):
        raise ComposeError(f"{at}: extends.{name}.service is required")
    base_document, base_services, base_file = None, services, file
    if other is not None:
        base_services, base_document = _services_of(other, name, base_name, options, at)
        base_file = other
    elif base_name not in services:
        raise ComposeError(f'{at}: cannot extend service "{name}" in {file}: service "{base_name}" not found'
                           f"{_near(base_name, services)}")
    chain = _grown(chain, (base_file, name))
    base = _extended(base_name, base_services, base_file, base_document, options, chain)
    if base is None:
        return entry
    base = copy.deepcopy(base)
    if document is not None:
        reset({"services": {name: base}}, document)
    merged = merge_service(base, entry)
    merged.pop("extends", None)
    services[name] = merged
    return merged


def _grown(chain: Chain, step: tuple[str, str]) -> Chain:
    if step in chain:
        lines = [f"  {'extends ' if index else ''}{service} in {file}"
                 for index, (file, service) in enumerate((*chain, step))]
        raise ComposeError("Circular reference:\n" + "\n".join(lines))
    return (*chain, step)


def _services_of(file: str, name: str, base: str, options: LoadOptions, at: str) -> tuple[dict[str, Any], Document]:
    """The services of another file, long forms, their paths from this project's directory."""
    from solva.compose.load.files import load_document
    from solva.compose.load.include import directory_of, fetched

    remote = fetched(file, at) if paths.is_remote_file(file) else None
    local = remote.file if remote is not None else paths.absolute(file, options.directory)
    if not os.path.isfile(local):
        raise ComposeError(f"{at}: cannot extend service \"{name}\": open {local}: no such file or directory")
    base_directory = remote.root if remote is not None else directory_of(local, options.directory)
    inner = options.inside(base_directory, os.path.dirname(local), options.environment)
    content, document = load_document(local, inner)
    services = content.get("services")
    if not isinstance(services, dict):
        raise ComposeError(f'{at}: cannot extend service "{name}" in {local}: no services section')
    if base not in services:
        raise ComposeError(f'{at}: cannot extend service "{name}" in {file}: service "{base}" not found in {file}'
                           f"{_near(base, services)}")
    paths.resolve(content, inner.working_dir)
    return services, document


def _near(name: str, known: dict[str, Any]) -> str:
    from solva.compose.load.validate import suggestion

    return suggestion(name, known)
