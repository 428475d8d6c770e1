"""The build context's tar: `.dockerignore` as Docker reads it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from solva.client.context import Ignore, pack


@pytest.mark.parametrize(("lines", "path", "ignored"), [
    (["*.md"], "a.md", True), (["*.md"], "d/a.md", False), (["**/*.md"], "d/e/a.md", True), (["**/*.md"], "a.md", True),
    (["d"], "d/x/y", True), (["/d"], "d/x", True), (["d/*"], "d/x", True), (["*", "!keep"], "keep", False),
    (["*", "!d/keep"], "d/keep", False), (["*", "!d/keep"], "d/other", True), (["a?c"], "abc", True),
    (["[ab]x"], "bx", True), (["# c", ""], "c", False), (["d/**"], "d/e/f", True), (["a.b"], "aXb", False),
    (["*.log", "!x.log", "x.log"], "x.log", True),
])
def test_ignore(lines: list[str], path: str, ignored: bool) -> None:
    assert Ignore(lines).matches(path) is ignored


def test_pack_keeps_symlinks_and_the_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "keep").write_text("k")
    (tmp_path / "d" / "drop").write_text("x")
    (tmp_path / "Dockerfile").write_text("FROM x")
    (tmp_path / "link").symlink_to("d/keep")
    (tmp_path / ".dockerignore").write_text("*\n!link\n!d/keep\n")
    data = b"".join(pack(str(tmp_path), extra={"inline": b"FROM y"}))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = {item.name: item for item in tar}
    assert sorted(names) == [".dockerignore", "Dockerfile", "d/keep", "inline", "link"]
    assert names["link"].issym()
