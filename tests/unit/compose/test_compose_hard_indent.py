"""A compose file copied from a web page is indented with no-break spaces."""

from __future__ import annotations

from pathlib import Path

from solva.compose.load.yaml import parse, soft_indent

ARTICLE = Path(__file__).resolve().parents[3] / "examples" / "prices" / "compose.yml"


def test_indentation_becomes_spaces_and_text_stays() -> None:
    assert soft_indent("a:\n\xa0 b: x\xa0y\n") == "a:\n  b: x\xa0y\n"


def test_the_articles_file_is_read_as_it_stands() -> None:
    text = ARTICLE.read_text()
    assert "\xa0" in text
    document = parse(text, "compose.yml")
    assert list(document.value["services"]) == ["mymongo", "dbbrowser", "api", "web"]
    assert document.value["services"]["web"]["ports"] == ["127.0.0.1:5000:5000"]
