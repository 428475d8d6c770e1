"""What a wrong compose file is answered: Docker Compose's words, with file, line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from solva.compose.errors import ComposeError
from solva.compose.load.lookup import locate
from solva.compose.load.options import LoadOptions
from solva.compose.load.pipeline import load_project

CASES = [
    ("services:\n  a:\n    image: x\n    imagee: 1",
     "validating F:4:5: services.a additional properties 'imagee' not allowed (did you mean 'image'?)"),
    ("services:\n  a:\n    image: x\n   b: 1", "failed to parse F:4:4: yaml: line 4: did not find expected key"),
    ("services:\n  a:\n    image: x\n    ports: {a: 1}", "validating F:4:5: services.a.ports must be a array"),
    ("services:\n  a:\n    image: x\n    ports: ['8o:80']", "F:4:13: Invalid hostPort: 8o"),
    ("services:\n  a: {}", 'service "a" has neither an image nor a build context specified: invalid compose project'),
    ("services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}",
     "dependency cycle detected: a -> b -> a"),
    ("services:\n  a: {image: x, depends_on: [zz]}",
     'service "a" depends on undefined service "zz": invalid compose project'),
    ("services:\n  a: {image: x, networks: [zz]}",
     'service "a" refers to undefined network zz: invalid compose project'),
    ("services:\n  a: {image: x, volumes: ['zz:/x']}",
     'service "a" refers to undefined volume zz: invalid compose project'),
    ("services:\n  a: {image: x, secrets: [zz]}", 'service "a" refers to undefined secret zz: invalid compose project'),
    ("services:\n  a: {image: x, command: '${MUST:?need MUST}'}",
     "error while interpolating services.a.command: required variable MUST is missing a value: need MUST"),
    ("services:\n  a: {image: x, command: '${MUST'}", "invalid interpolation format for services.a.command."),
    ("services:\n  a: {image: x, privileged: foo}",
     "error while interpolating services.a.privileged: failed to cast to expected type: invalid boolean: foo"),
    ("services:\n  a: {image: x, network_mode: host, networks: [default]}",
     "service a declares mutually exclusive `network_mode` and `networks`: invalid compose project"),
    ("services:\n  a: {image: x, stop_grace_period: foo}", 'time: invalid duration "foo"'),
    ("services:\n  a: {image: x}\n  a: {image: y}", 'line 3: mapping key "a" already defined at line 2'),
    ("services:\n  a: &x [*x]\n", "cycle detected"),
    ("services:\n  a: {image: x, extends: {service: zz}}", 'cannot extend service "a" in F: service "zz" not found'),
    ("services:\n  a: {image: x, env_file: nope.env}", "no such file or directory"),
    ("secrets: {a: {}}\nservices: {a: {image: x}}", "secrets.a: one of file|environment must be set"),
    ("- a", "top-level object must be a mapping"),
    ("", "empty compose file"),
]


@pytest.mark.parametrize(("text", "message"), CASES)
def test_error(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    location = locate([], "", [], {}, str(tmp_path))
    with pytest.raises(ComposeError) as caught:
        load_project(location.files, LoadOptions(location.working_dir, {}, name="p", warn=lambda _: None))
    assert message in str(caught.value).replace(str(file), "F")


def test_unset_variable_warns_in_docker_s_words(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  a: {image: x, command: $NOPE}")
    heard: list[str] = []
    location = locate([], "", [], {}, str(tmp_path))
    load_project(location.files, LoadOptions(location.working_dir, {}, name="p", warn=heard.append))
    assert heard == ['The "NOPE" variable is not set. Defaulting to a blank string.']


def test_file_is_found_in_a_parent_with_its_override(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text("services: {}")
    (tmp_path / "compose.override.yml").write_text("services: {}")
    (tmp_path / "a" / "b").mkdir(parents=True)
    location = locate([], "", [], {}, str(tmp_path / "a" / "b"))
    assert [Path(file).name for file in location.files] == ["compose.yml", "compose.override.yml"]
    assert location.working_dir == str(tmp_path)
