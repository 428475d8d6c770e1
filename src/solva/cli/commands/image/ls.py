"""``solva images``: list images."""

from __future__ import annotations

from solva.cli.commands.common import NO_TRUNC, list_flags
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag, filters_of
from solva.cli.output.listing import Listing
from solva.cli.output.units import ago, human_size, local_time, short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """List images, newest first, a row a tag."""
    if options.on("tree"):
        raise CommandError("images --tree is not supported")
    filters = filters_of(options.many("filter")) or {}
    if options.args:
        filters.setdefault("reference", []).append(options.args[0])
    fmt = options.text("format") or str(session.config.get("imagesFormat") or "")
    images = session.api.json("GET", "/images/json", query={
        "all": options.on("all") or None,
        "filters": filters or None,
        "shared-size": ".SharedSize" in fmt or ".UniqueSize" in fmt or None,
    })
    digests = options.on("digests") or ".Digest" in fmt
    rows = [row for image in images for row in rows_of(image, digests)]
    columns = image_columns(not options.on("no-trunc"))
    default: tuple[str, ...] = ("Repository", "Tag", "ID", "CreatedSince", "Size")
    if options.on("digests"):
        default = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")
    Listing(columns, default, "ID", "*formatter.imageContext").show(rows, format=fmt, quiet=options.on("quiet"))
    return 0


def rows_of(image: dict[str, Any], digests: bool) -> list[dict[str, Any]]:
    """The rows an image takes: one a tag, with a digest of the same repository where digests are shown."""
    tags: dict[str, list[str]] = {}
    by_repository: dict[str, list[str]] = {}
    for name in image.get("RepoTags") or []:
        if name == "<none>:<none>":
            continue
        repository, _, tag = name.rpartition(":")
        tags.setdefault(repository, []).append(tag)
    for name in image.get("RepoDigests") or []:
        if name == "<none>@<none>":
            continue
        repository, _, digest = name.partition("@")
        by_repository.setdefault(repository, []).append(digest)
    rows = []

    def add(repository: str, tag: str, digest: str) -> None:
        rows.append({"image": image, "repository": repository, "tag": tag, "digest": digest})

    for repository, names in tags.items():
        found = by_repository.pop(repository, [])
        if not digests or not found:
            for tag in names:
                add(repository, tag, "<none>")
            continue
        for tag in names:
            for digest in found:
                add(repository, tag, digest)
    for repository, found in by_repository.items():
        if digests:
            for digest in found:
                add(repository, "<none>", digest)
        elif found:
            add(repository, "<none>", "<none>")
    if not rows:
        add("<none>", "<none>", "<none>")
    return rows


def image_columns(truncate: bool) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    """The placeholders of an image row."""
    def optional_size(row: Any, key: str) -> str:
        size = row["image"].get(key, -1)
        return "N/A" if size is None or size < 0 else human_size(size)

    def unique(row: Any) -> str:
        shared = row["image"].get("SharedSize", -1)
        return "N/A" if shared is None or shared < 0 else human_size(row["image"]["Size"] - shared)

    def containers(row: Any) -> str:
        count = row["image"].get("Containers", -1)
        return "N/A" if count is None or count < 0 else str(count)

    return {
        "ID": ("IMAGE ID", lambda row: short_id(row["image"]["Id"]) if truncate else row["image"]["Id"]),
        "Repository": ("REPOSITORY", lambda row: row["repository"]),
        "Tag": ("TAG", lambda row: row["tag"]),
        "Digest": ("DIGEST", lambda row: row["digest"]),
        "CreatedSince": ("CREATED", lambda row: ago(row["image"].get("Created", 0))),
        "CreatedAt": ("CREATED AT", lambda row: local_time(row["image"].get("Created", 0))),
        "Size": ("SIZE", lambda row: human_size(row["image"].get("Size", 0))),
        "Containers": ("CONTAINERS", containers),
        "SharedSize": ("SHARED SIZE", lambda row: optional_size(row, "SharedSize")),
        "UniqueSize": ("UNIQUE SIZE", unique),
        "VirtualSize": ("SIZE", lambda row: human_size(row["image"].get("Size", 0))),
    }


COMMAND = Command(
    "images", "[OPTIONS] [REPOSITORY[:TAG]]", "List images", run,
    flags=list_flags(
        Flag("all", "a", "bool", "Show all images (default: intermediate ones are hidden)"),
        Flag("digests", "", "bool", "Show digests"),
        Flag("tree", "", "bool", "List platforms of images as a tree", hidden=True),
        NO_TRUNC,
        quiet="Only show image IDs",
    ),
    arity=(0, 1), aliases=("image ls", "image list", "images"),
)
