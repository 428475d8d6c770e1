"""The tree that a terminal shows, as lines; no terminal is needed to see it."""

from __future__ import annotations

import io
import json

from solva.compose.progress import Progress


def progress(mode: str = "tty") -> Progress:
    made = Progress(mode, ansi=False)
    made.out = io.StringIO()  # type: ignore[assignment]
    return made


def told(made: Progress) -> str:
    out = made.out
    assert isinstance(out, io.StringIO)
    return out.getvalue()


def test_the_tree_is_grouped_and_says_what_each_does() -> None:
    made = progress()
    made.event("Container p-web-1", "Creating")
    made.event("Network p_default", "Created")
    made.event("Image mongo", "Pulling")
    made.measure("Image mongo", "1.2MB of 3MB")
    made.event("Container p-db-1", "Waiting", "health check exited 1: boom")
    lines = made.tree(100, 40)
    assert lines[0] == "[+] Running 1/4"
    assert [line for line in lines if not line.startswith(("   ", " └", " ├"))][1:] == [" Networks", " Images",
                                                                                        " Containers"]
    assert any("mongo" in line and line.endswith("1.2MB of 3MB") for line in lines)
    assert any("p-db-1" in line and line.endswith("health check exited 1: boom") for line in lines)
    assert any("✔ p_default" in line for line in lines)


def test_a_small_terminal_shows_what_goes_on_and_never_wraps() -> None:
    made = progress()
    for index in range(50):
        made.event(f"Container c{index}", "Started" if index < 48 else "Starting", "x" * 300)
    lines = made.tree(60, 12)
    assert len(lines) <= 12
    assert all(len(line) <= 60 for line in lines)
    assert any("c49" in line for line in lines)
    assert any("more" in line for line in lines)


def test_plain_lines_are_dockers_and_said_once() -> None:
    made = progress("plain")
    for _ in range(2):
        made.event("Container a", "Starting")
    made.measure("Container a", "never shown")
    made.event("Container a", "Started")
    made.log("web", "Step 1/2 : FROM x")
    assert told(made) == " Container a  Starting\n Container a  Started\nweb  | Step 1/2 : FROM x\n"


def test_json_is_an_object_a_line() -> None:
    made = progress("json")
    made.event("Image x", "Pulling")
    made.measure("Image x", "half")
    made.event("Image x", "Error", "no such host")
    rows = [json.loads(line) for line in told(made).splitlines()]
    assert [row["status"] for row in rows] == ["Working", "Working", "Error"]
    assert rows[1]["details"] == "half"
    assert rows[2] == {"id": "Image x", "status": "Error", "text": "Error", "details": "no such host"}


def test_quiet_says_nothing() -> None:
    made = progress("quiet")
    made.event("Container a", "Started")
    made.log("a", "b")
    made.say("c")
    assert told(made) == ""
