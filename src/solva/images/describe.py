"""Images as the API shows them (v1.51): list, inspect, history."""

import fnmatch
from collections.abc import Callable
from typing import Any

from solva.clock import ZERO_TIME, parse_rfc3339, rfc3339
from solva.errors import InvalidParameter
from solva.images.model import ImageRecord
from solva.images.store import ImageStore
from solva.registry.reference import parse
from solva.snapshots.layers import LayerStore

Json = dict[str, Any]
_FILTERS = {"reference", "dangling", "label", "label!", "before", "since", "until"}
_CONFIG_FIELDS = ("Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "Volumes")
_OPTIONAL_CONFIG = ("ExposedPorts", "Healthcheck", "ArgsEscaped", "Shell", "StopSignal", "StopTimeout", "Hostname",
                    "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce")


def created_ns(record: ImageRecord) -> int:
    return parse_rfc3339(record.created) if record.created else 0


def labels_of(record: ImageRecord) -> dict[str, str]:
    return (record.config.get("config") or {}).get("Labels") or {}


def inspect(record: ImageRecord, layers: LayerStore) -> Json:
    """GET /images/{name}/json."""
    config = record.config
    inner = config.get("config") or {}
    shown: Json = {key: inner.get(key) or None for key in _CONFIG_FIELDS}
    shown |= {"User": inner.get("User") or "", "WorkingDir": inner.get("WorkingDir") or ""}
    shown |= {key: inner[key] for key in _OPTIONAL_CONFIG if inner.get(key)}
    result: Json = {
        "Id": record.id,
        "RepoTags": list(record.repo_tags),
        "RepoDigests": list(record.repo_digests),
        "Parent": record.parent,
        "Comment": _comment(config),
        "Created": record.created or ZERO_TIME,
        "DockerVersion": config.get("docker_version") or "",
        "Author": config.get("author") or "",
        "Architecture": config.get("architecture") or "",
        "Os": config.get("os") or "",
        "Size": record.size,
        "GraphDriver": {"Data": _graph(record, layers), "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": list((config.get("rootfs") or {}).get("diff_ids") or [])},
        "Metadata": {"LastTagTime": rfc3339(record.last_tag)},
        "Config": dict(sorted(shown.items())),
    }
    if config.get("container") or config.get("container_config"):      # what versions before 1.45 show
        result["Container"] = config.get("container") or ""
        result["ContainerConfig"] = config.get("container_config") or {}
    if config.get("variant"):
        result["Variant"] = config["variant"]
    return result


def _comment(config: Json) -> str:
    history = config.get("history") or []
    return config.get("comment") or (history[-1].get("comment") if history else "") or ""


def _graph(record: ImageRecord, layers: LayerStore) -> Json:
    paths = [str(layers.path(chain)) for chain in reversed(record.chain)]
    if not paths:
        return {}
    data: Json = {"MergedDir": paths[0].removesuffix("fs") + "merged", "UpperDir": paths[0],
                  "WorkDir": paths[0].removesuffix("fs") + "work"}
    if len(paths) > 1:
        data = {"LowerDir": ":".join(paths[1:]), **data}
    return data


def history(record: ImageRecord, layers: LayerStore) -> list[Json]:
    """GET /images/{name}/history, newest first."""
    rows: list[Json] = []
    remaining = iter(record.chain)
    for step in record.config.get("history") or []:
        size = 0
        if not step.get("empty_layer"):
            chain = next(remaining, None)
            size = layers.size(chain) if chain else 0
        rows.insert(0, {
            "Comment": step.get("comment") or "",
            "Created": parse_rfc3339(step["created"]) // 1_000_000_000 if step.get("created") else 0,
            "CreatedBy": step.get("created_by") or "", "Id": "<missing>", "Size": size, "Tags": None,
        })
    if rows:
        rows[0]["Id"] = record.id
        rows[0]["Tags"] = list(record.repo_tags) or None
    return rows


class Lister:
    """Rows of GET /images/json and the filters that prune shares. ``in_use``: containers of an image id."""

    def __init__(self, images: ImageStore, layers: LayerStore, in_use: Callable[[str], list[str]]) -> None:
        self._images = images
        self._layers = layers
        self._in_use = in_use

    def rows(self, filters: dict[str, list[str]], *, all_: bool, shared_size: bool) -> list[Json]:
        wanted = self.selected(filters)
        dangling = flag(filters, "dangling")
        parents = {self._images.stored(image_id).parent for image_id in self._images.ids()}
        rows = []
        for record in wanted:
            if not record.repo_tags and not record.repo_digests and record.id in parents and not (
                    all_ and dangling is None):
                continue      # an intermediate step of a build
            rows.append(self._row(record, shared_size))
        rows.sort(key=lambda row: row["Created"], reverse=True)
        return rows

    def _row(self, record: ImageRecord, shared_size: bool) -> Json:
        return {
            "Containers": len(self._in_use(record.id)),
            "Created": created_ns(record) // 1_000_000_000,
            "Id": record.id,
            "Labels": labels_of(record) or None,
            "ParentId": record.parent,
            "RepoDigests": list(record.repo_digests),
            "RepoTags": list(record.repo_tags),
            "SharedSize": self._shared(record) if shared_size else -1,
            "Size": record.size,
        }

    def _shared(self, record: ImageRecord) -> int:
        others = {chain for image_id in self._images.ids() if image_id != record.id
                  for chain in self._images.chain(image_id)}
        return sum(self._layers.size(chain) for chain in record.chain if chain in others)

    def selected(self, filters: dict[str, list[str]]) -> list[ImageRecord]:
        """Records that pass every filter. InvalidParameter for an unknown one."""
        for key in filters:
            if key not in _FILTERS:
                raise InvalidParameter(f"invalid filter '{key}'")
        bounds = self._bounds(filters)
        dangling = flag(filters, "dangling")
        found = []
        for image_id in self._images.ids():
            record = self._images.record(image_id)
            created = created_ns(record)
            if not bounds[0] < created < bounds[1] or not match_labels(labels_of(record), filters):
                continue
            if dangling is not None and dangling != (not record.repo_tags and not record.repo_digests):
                continue
            patterns = filters.get("reference") or []
            if patterns:
                names = [name for name in (*record.repo_tags, *record.repo_digests) if _matches(name, patterns)]
                if not names:
                    continue
                record = _only(record, names)
            found.append(record)
        return found

    def _bounds(self, filters: dict[str, list[str]]) -> tuple[int, int]:
        low, high = -1 << 62, 1 << 62
        for ref in filters.get("since") or []:
            low = max(low, created_ns(self._images.record(self._images.find(ref)[0])))
        for ref in filters.get("before") or []:
            high = min(high, created_ns(self._images.record(self._images.find(ref)[0])))
        for text in filters.get("until") or []:
            high = min(high, until_ns(text))
        return low, high


def _only(record: ImageRecord, names: list[str]) -> ImageRecord:
    from dataclasses import replace

    return replace(record, repo_tags=tuple(name for name in record.repo_tags if name in names),
                   repo_digests=tuple(name for name in record.repo_digests if name in names))


def _matches(name: str, patterns: list[str]) -> bool:
    reference = parse(name)
    for pattern in patterns:
        for candidate in (name, reference.familiar_name, str(reference), reference.name):
            if pattern.count("/") == candidate.count("/") and fnmatch.fnmatchcase(candidate, pattern):
                return True
    return False


def match_labels(labels: dict[str, str], filters: dict[str, list[str]]) -> bool:
    """``label=k``, ``label=k=v`` (all of them), and ``label!=`` (none of them)."""

    def has(text: str) -> bool:
        key, equals, value = text.partition("=")
        return key in labels and (not equals or labels[key] == value)

    return all(has(text) for text in filters.get("label") or []) and not any(
        has(text) for text in filters.get("label!") or [])


def until_ns(text: str) -> int:
    """A point in time: unix seconds, RFC 3339, or a duration back from now (``24h``). InvalidParameter."""
    import re
    import time

    try:
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
            return int(float(text) * 1_000_000_000)
        units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
        if re.fullmatch(r"([0-9]+(\.[0-9]+)?(h|ms|m|s))+", text):
            seconds = sum(float(number) * units[unit]
                          for number, unit in re.findall(r"([0-9.]+)(h|ms|m|s)", text))
            return time.time_ns() - int(seconds * 1_000_000_000)
        return parse_rfc3339(text)
    except ValueError:
        raise InvalidParameter(f'failed to parse value as time or duration: "{text}"') from None


def flag(filters: dict[str, list[str]], key: str) -> bool | None:
    values = filters.get(key) or []
    if not values:
        return None
    if values[0].lower() in ("1", "true", "t"):
        return True
    if values[0].lower() in ("0", "false", "f"):
        return False
    raise InvalidParameter(f"invalid filter '{key}=[{values[0]}]'")
