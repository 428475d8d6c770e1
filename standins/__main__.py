"""`python -m standins`: see the package's description."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from standins import __doc__ as description
from standins import archive, daemon, mirror
from standins.chroot import StepFailed
from standins.images import RECIPES, Recipe, recipe_named
from standins.oci import Image
from standins.push import PushFailed, Registry
from standins.stages import Cache, Made, cache_directory, make_all


def say(text: str) -> None:
    print(text, flush=True)


@contextlib.contextmanager
def timed(what: str) -> Iterator[list[str]]:
    """Print a step with the seconds it took; what is put into the list is added."""
    began = time.monotonic()
    more: list[str] = []
    yield more
    say(f"  {time.monotonic() - began:6.1f} s  {what}{''.join(': ' + text for text in more)}")


def build(recipes: Sequence[Recipe] = RECIPES) -> list[Image]:
    """Make what is missing in the cache; the images of the recipes."""
    began = time.monotonic()
    built: list[Made] = []

    def tell(made: Made) -> None:
        if made.seconds:
            built.append(made)
            say(f"  {made.seconds:6.1f} s  {made.stage.name}: layer of {made.layer.size / 1e6:.1f} MB")

    made = make_all(Cache(cache_directory()), [recipe.stage for recipe in recipes], tell)
    if not built:
        say(f"  {time.monotonic() - began:6.1f} s  all layers are in {cache_directory()}")
    return [recipe.image(made) for recipe in recipes]


def storage() -> Path:
    return cache_directory() / "registry"


def up(also: Sequence[str], force: bool, announce: bool = True) -> int:
    if not force and mirror.hub_reachable():
        say("Docker Hub answers: no stand-ins are needed")
        return 0
    say("Docker Hub cannot be reached: stand-ins of its images, from Debian, PyPI and npm packages")
    images = build()
    address = daemon.address()
    with timed(f"registry on {address}") as more:
        more.append("started" if daemon.Daemon(address, storage()).start() else "runs")
    known: dict[str, str] = {}
    registry = Registry(address)
    with timed("images in the registry") as more:
        pushed = [image.repository.removeprefix("library/") for image in images if registry.push(image, known)]
        more.append(f"pushed {', '.join(pushed)}" if pushed else "nothing new")
    for listen in also:
        with timed(f"registry on {listen}, read only") as more:
            more.append("started" if daemon.Daemon(listen, storage(), readonly=True).start() else "runs")
    if announce:
        say(f"  {mirror.tell_engine(address)}")
    return 0


def down(only: Sequence[str]) -> int:
    for each in daemon.all_running(storage()):
        if not only or each.listen in only:
            each.stop()
            say(f"stopped the registry on {each.listen}")
    if not only and mirror.untell_engine():
        say(f"removed {mirror.engine_configuration()}")
    return 0


def status() -> int:
    running = daemon.all_running(storage())
    for each in running:
        say(f"registry on {each.listen}: pid {each.pid()}")
    if not running:
        say("no registry runs")
    cache = Cache(cache_directory())
    made: dict[str, Made] = {}
    for recipe in RECIPES:
        missing = False
        line = [recipe.stage]
        while line[0].parent is not None:
            line.insert(0, line[0].parent)
        parents: tuple[Made, ...] = ()
        for stage in line:
            found = cache.find(stage, parents)
            if found is None:
                missing = True
                break
            made[stage.name] = found
            parents = tuple(found.chain())
        names = ", ".join(f"{recipe.name}:{tag}" for tag in recipe.tags)
        if missing:
            say(f"{names}: not built")
            continue
        image = recipe.image(made)
        size = sum(layer.size for layer in image.layers)
        say(f"{names}: {image.top.digest} {size / 1e6:.1f} MB")
    return 0 if running else 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m standins", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("up", help="build, serve and announce what is needed")
    verb.add_argument("--also", action="append", default=[], metavar="HOST:PORT", help="serve there too, read only")
    verb.add_argument("--force", action="store_true", help="even where Docker Hub answers")
    verb.add_argument("--no-config", action="store_true", help="leave the engine's configuration alone")
    verb = verbs.add_parser("down", help="stop serving; what was built stays")
    verb.add_argument("--only", action="append", default=[], metavar="HOST:PORT", help="this listener only")
    verbs.add_parser("status", help="what is served, and what is built")
    verb = verbs.add_parser("build", help="only build")
    verb.add_argument("image", nargs="*", help="these only")
    verb = verbs.add_parser("save", help="write an image as `docker load` reads it")
    verb.add_argument("image")
    verb.add_argument("-o", "--output", required=True, type=Path)
    asked = parser.parse_args(arguments)
    try:
        if asked.verb == "up":
            return up(asked.also, asked.force, not asked.no_config)
        if asked.verb == "build":
            build([recipe_named(name) for name in asked.image] or RECIPES)
        elif asked.verb == "save":
            (image,) = build([recipe_named(asked.image)])
            archive.save(image, asked.output)
        else:
            return down(asked.only) if asked.verb == "down" else status()
    except (StepFailed, PushFailed, daemon.CannotServe, OSError, KeyError) as error:
        print(f"standins: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
