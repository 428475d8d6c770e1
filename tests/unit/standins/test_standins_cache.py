"""The cache: built once, rebuilt when the recipe changes, untouched by a build that fails. And the rest of `up`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from standins import mirror
from standins.images import RECIPES, recipe_named
from standins.recipes import debian, python
from standins.stages import Cache, Made, Stage, Workshop, make_all


class Kitchen:
    """A stage whose recipe is a file that tests change."""

    def __init__(self, directory: Path) -> None:
        self.recipe = directory / "recipe"
        self.recipe.write_text("salt")
        self.cache = Cache(directory / "cache")
        self.built = 0
        self.fails = False

    def build(self, shop: Workshop) -> None:
        self.built += 1
        (shop.root / "dish").write_text(self.recipe.read_text())
        if self.fails:
            raise RuntimeError("burnt")
        shop.facts["taste"] = self.recipe.read_text()

    def make(self) -> Made:
        stage = Stage("dish", "cooked", self.build, (self.recipe,))
        return make_all(self.cache, [stage], lambda _: None)["dish"]


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


def test_a_stage_is_built_once(kitchen: Kitchen) -> None:
    first, second = kitchen.make(), kitchen.make()
    assert kitchen.built == 1
    assert (first.layer, first.facts) == (second.layer, second.facts)
    assert second.seconds == 0


def test_a_changed_recipe_is_built_again_and_takes_the_place_of_the_old(kitchen: Kitchen) -> None:
    old = kitchen.make()
    kitchen.recipe.write_text("pepper")
    new = kitchen.make()
    assert new.facts["taste"] == "pepper"
    assert new.layer.digest != old.layer.digest
    assert not old.directory.exists()


def test_a_failed_build_leaves_the_cache_as_it_was(kitchen: Kitchen) -> None:
    old = kitchen.make()
    kitchen.recipe.write_text("pepper")
    kitchen.fails = True
    with pytest.raises(RuntimeError, match="burnt"):
        kitchen.make()
    assert [path.name for path in kitchen.cache.stages.iterdir()] == [old.directory.name]
    kitchen.recipe.write_text("salt")
    assert kitchen.make().layer == old.layer


def test_a_childs_key_changes_with_its_parents(kitchen: Kitchen) -> None:
    parent = Stage("parent", "", kitchen.build, (kitchen.recipe,))
    child = Stage("child", "", kitchen.build, (), parent)
    before = child.key()
    kitchen.recipe.write_text("pepper")
    assert child.key() != before


@pytest.mark.parametrize(
    ("name", "stays_out"),
    [
        ("usr/bin/env", False),
        ("etc/passwd", False),
        ("etc/passwd-", True),
        ("var/lib/apt/lists/x", True),
        ("var/lib/apt/lists", False),
        ("var/lib/dpkg/status", False),
        ("var/lib/dpkg/status-old", True),
        ("var/log/apt/history.log", True),
    ],
)
def test_what_stays_out_of_a_debian_layer(name: str, stays_out: bool) -> None:
    assert debian.skip(name) is stays_out


def test_folders_of_this_machine_are_no_index_of_a_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///opt/simple https://mirror.test/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/opt/wheels")
    text = python.pip_conf()
    assert "https://mirror.test/simple" in text
    assert "/opt" not in text


def test_the_images_the_article_names_have_recipes() -> None:
    for name in ("mongo", "mongo-express:latest", "python:3.11.9-alpine", "docker.io/library/busybox"):
        assert recipe_named(name) in RECIPES
    with pytest.raises(KeyError, match="no stand-in for redis"):
        recipe_named("redis")


def test_the_engines_configuration_is_written_and_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "solva" / "engine.toml"
    monkeypatch.setenv("SOLVA_ENGINE_CONFIG", str(path))
    mirror.tell_engine("127.0.0.1:5050")
    assert '"docker.io" = ["http://127.0.0.1:5050"]' in path.read_text()
    mirror.tell_engine("127.0.0.1:5060")
    assert "5050" not in path.read_text()
    assert mirror.untell_engine()
    assert not path.exists()


def test_a_users_own_configuration_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "engine.toml"
    path.write_text('stop_deaf = "wait"\n')
    monkeypatch.setenv("SOLVA_ENGINE_CONFIG", str(path))
    assert "stays" in mirror.tell_engine("127.0.0.1:5050")
    assert not mirror.untell_engine()
    assert path.read_text() == 'stop_deaf = "wait"\n'
