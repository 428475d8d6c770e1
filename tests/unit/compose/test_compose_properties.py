"""Laws of merging, interpolation and parsing, on values that nobody thought of."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from solva.compose.attributes.convert import words
from solva.compose.attributes.units import duration, show_duration
from solva.compose.errors import ComposeError
from solva.compose.load import dotenv
from solva.compose.load.interpolate import substitute, uses
from solva.compose.load.merge import merge_files
from solva.compose.load.options import LoadOptions
from solva.compose.load.pipeline import load_project
from solva.compose.load.yaml import parse_all
from solva.compose.yamlout import dump

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
PLAIN = st.text(st.characters(blacklist_characters="$", blacklist_categories=("Cs",)), max_size=12)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-10**9, 10**9), PLAIN)
KEYS = st.sampled_from(["image", "command", "environment", "ports", "volumes", "labels", "networks", "deploy",
                        "build", "x-a", "depends_on", "healthcheck", "dns", "logging", "ulimits",
                        "extends", "env_file", "secrets"])
SECTIONS = st.sampled_from(["networks", "volumes", "secrets", "include", "name", "x-y", "zz"])
BITS = st.sampled_from(["services", ":", "\n", "  ", "- ", "{", "}", "[", "]", "a", "&x ", "*x", "!reset ", "<<", "|",
                        ">", "'", '"', "#", "?", "\t", "${", "~"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
                      max_leaves=8)
SERVICES = st.dictionaries(KEYS, VALUES, max_size=4)


def refusal(file: Path) -> str:
    """Why ``file`` is refused, "" when it is loaded. Anything but a ComposeError fails the test."""
    try:
        load_project([str(file)], LoadOptions(str(file.parent), {}, name="p", warn=lambda _: None))
    except ComposeError as error:
        return str(error) or "no message"
    return ""


@given(PLAIN, st.dictionaries(NAMES, PLAIN))
def test_text_without_a_dollar_stays(text: str, environment: dict[str, str]) -> None:
    assert substitute(text, environment, pytest.fail) == text


@given(st.lists(st.tuples(PLAIN, NAMES)), st.dictionaries(NAMES, PLAIN))
def test_each_variable_is_replaced_by_its_value(parts: list[tuple[str, str]], environment: dict[str, str]) -> None:
    text = "".join(f"{plain}${{{name}}}" for plain, name in parts)
    wanted = "".join(plain + environment.get(name, "") for plain, name in parts)
    assert substitute(text, environment, lambda _: None) == wanted
    assert [use.name for use in uses(text)] == [name for _, name in parts]


@given(st.text(max_size=20))
def test_doubled_dollars_come_back(text: str) -> None:
    assert substitute(text.replace("$", "$$"), {}, pytest.fail) == text


@given(NAMES, st.text(st.characters(blacklist_characters="${}\n", blacklist_categories=("Cs",)), max_size=9),
       st.sampled_from(["", "x"]))
def test_operators(name: str, word: str, value: str) -> None:
    def said(operator: str, environment: dict[str, str]) -> str:
        return substitute(f"${{{name}{operator}{word}}}", environment, pytest.fail)

    there = {name: value}
    assert said(":-", {}) == said("-", {}) == word
    assert said("-", there) == value
    assert said(":-", there) == (value or word)
    assert said("+", there) == word
    assert said(":+", there) == (word if value else "")
    assert said("+", {}) == said(":+", {}) == ""
    assert said("?", there) == value


@given(SERVICES)
def test_merging_nothing_changes_nothing(service: dict[str, Any]) -> None:
    content = {"services": {"a": service}}
    assert merge_files(copy.deepcopy(content), {}) == content
    assert merge_files({}, copy.deepcopy(content)) == content


@given(st.dictionaries(st.sampled_from(["image", "user", "hostname", "restart"]), PLAIN),
       st.dictionaries(st.sampled_from(["image", "user", "hostname", "restart"]), PLAIN))
def test_the_later_scalar_wins(first: dict[str, str], second: dict[str, str]) -> None:
    merged = merge_files({"services": {"a": dict(first)}}, {"services": {"a": dict(second)}})
    assert merged["services"]["a"] == {**first, **second}


@given(st.tuples(*[st.dictionaries(NAMES, PLAIN, max_size=3)] * 3))
def test_merging_variables_is_associative(three: tuple[dict[str, str], ...]) -> None:
    def of(content: dict[str, Any]) -> dict[str, Any]:
        from solva.compose.attributes.convert import table
        from solva.compose.load.unique import enforce

        return table(enforce(content)["services"]["a"]["environment"])

    files = [{"services": {"a": {"environment": dict(item)}}} for item in three]
    first, second, third = copy.deepcopy(files)
    left = merge_files(merge_files(first, second), third)
    first, second, third = copy.deepcopy(files)
    right = merge_files(first, merge_files(second, third))
    assert of(left) == of(right) == {key: value for item in three for key, value in item.items()}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b"]), st.one_of(SERVICES, VALUES), max_size=2),
       st.dictionaries(SECTIONS, VALUES, max_size=2))
def test_any_content_is_loaded_or_refused_with_its_place(tmp_path: Path, services: Any, more: Any) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(json.dumps({"services": services, **more}))
    message = refusal(file)
    assert not message or str(file) in message or "Circular" in message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.text(st.characters(blacklist_categories=("Cs",)), max_size=60) | st.lists(BITS, max_size=30).map("".join))
@example("!reset {}")
def test_any_text_is_loaded_or_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    assert refusal(file) != "no message"


def test_a_tag_at_the_root_takes_everything_away(tmp_path: Path) -> None:
    first, second = tmp_path / "one.yaml", tmp_path / "two.yaml"
    first.write_text("services:\n  a: {image: x}\nvolumes: {v: {}}\n")
    second.write_text("!override\nservices:\n  b: {image: y}\n")
    project = load_project([str(first), str(second)], LoadOptions(str(tmp_path), {}, name="p", warn=lambda _: None))
    assert list(project.services) == ["b"]
    assert not project.volumes


TEXTS = st.text(st.characters(blacklist_characters="\xa0", blacklist_categories=("Cs",)), max_size=8)


@given(st.recursive(st.none() | st.booleans() | st.integers(-10**9, 10**9) | TEXTS, lambda inner: st.lists(
    inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8))
def test_printed_yaml_is_read_back(value: Any) -> None:
    documents = parse_all(dump({"k": value}), "f")
    assert documents[0].value == {"k": value}


@given(st.integers(0, 10**18))
def test_durations_are_read_back(nanoseconds: int) -> None:
    assert duration(show_duration(nanoseconds)) == nanoseconds


@given(st.lists(st.text(st.characters(blacklist_characters="'\\", blacklist_categories=("Cs",)), max_size=6)))
def test_quoted_words_come_back(parts: list[str]) -> None:
    assert words(" ".join(f"'{part}'" for part in parts)) == parts


@given(st.dictionaries(NAMES, st.text(st.characters(blacklist_characters="'\\\r", blacklist_categories=("Cs",)),
                                      max_size=9)))
def test_single_quoted_env_values_come_back(values: dict[str, str]) -> None:
    assert dotenv.parse("".join(f"{key}='{value}'\n" for key, value in values.items()), {}) == values


@given(st.text(max_size=40))
def test_any_env_file_is_read_or_refused(text: str) -> None:
    message = "f: line"
    try:
        dotenv.parse(text, {}, "f")
    except ComposeError as error:
        message = str(error)
    assert "f: line" in message
