"""`config` of every project of the corpus is Docker Compose's, as JSON, as YAML, and in its hashes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from solva.compose import render, yamlout
from solva.compose.hash import service_hash
from solva.compose.load.lookup import locate, project_name
from solva.compose.load.options import LoadOptions
from solva.compose.load.pipeline import load_project
from solva.compose.project import Project

_SPEC = importlib.util.spec_from_file_location("corpus_files", Path(__file__).parent / "corpus_files.py")
assert _SPEC is not None
assert _SPEC.loader is not None
corpus = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(corpus)
CASES = corpus.cases()


def load(name: str, directory: Path) -> Project:
    corpus.write(CASES[name], directory)
    location = locate([], "", [], corpus.ENVIRONMENT, str(directory))
    given = "" if name == "misc" else "proj"
    found = project_name(given, location, lambda _: None)
    return load_project(location.files, LoadOptions(location.working_dir, location.environment, name=found,
                                                    warn=lambda _: None))


@pytest.mark.parametrize("name", sorted(CASES))
def test_config_is_composes(name: str, tmp_path: Path) -> None:
    wanted = corpus.golden(name)
    assert not wanted["json"].startswith("ERROR"), wanted["json"]
    project = load(name, tmp_path)
    ours = render.for_json(render.escaped(render.document(project, as_json=True)))
    assert json.loads(json.dumps(ours).replace(str(tmp_path), "@DIR@")) == json.loads(wanted["json"])
    assert yamlout.dump(render.escaped(render.document(project))).replace(str(tmp_path), "@DIR@") == wanted["yaml"]


@pytest.mark.parametrize("name", sorted(CASES))
def test_hash_is_composes(name: str, tmp_path: Path) -> None:
    wanted = corpus.golden(name)
    if name == "envfile":
        pytest.skip("`config --hash` leaves env files out; what `up` labels has them")
    if "@DIR@" in wanted["json"]:
        pytest.skip("the hash covers absolute paths, which differ here")
    project = load(name, tmp_path)
    ours = "".join(f"{service.name} {service_hash(service)}\n" for service in project.services.values())
    assert sorted(ours.splitlines()) == sorted(wanted["hash"].splitlines())
