"""The catalogue, help, misspelt commands, sizes and times, detach keys, ports as `ps` shows them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from solva.cli import pages
from solva.cli.catalog import GROUPS, VERBS
from solva.cli.commands.container.ps import display_ports
from solva.cli.flags import Command, parse_bytes, parse_duration
from solva.cli.help import command_help
from solva.cli.main import load, run
from solva.cli.output.order import natural
from solva.cli.output.table import align
from solva.cli.output.units import binary_size, human_size
from solva.cli.references import parse
from solva.cli.stream import Demultiplexer
from solva.cli.terminal import Detached, DetachFilter, detach_sequence
from solva.text import human_duration

PLACES = sorted({(name, place, short) for name, (place, short) in VERBS.items()}
                | {(f"{group} {verb}", place, short) for group, (_, verbs) in GROUPS.items()
                   for verb, (place, short) in verbs.items()})


@pytest.mark.parametrize(("name", "place", "short"), PLACES, ids=[name for name, _, _ in PLACES])
def test_every_listed_command_is_there_and_described_alike(name: str, place: str, short: str) -> None:
    command = load(place)
    assert isinstance(command, Command)
    assert command.short == short
    assert f"Usage:  solva {command.name}" in command_help(command)
    names = [flag.name for flag in command.flags]
    assert len(names) == len(set(names))
    letters = [flag.shorthand for flag in command.flags if flag.shorthand]
    assert len(letters) == len(set(letters))


@pytest.mark.parametrize(("word", "meant"), [("sp", "ps"), ("rnu", "run"), ("lgos", "logs"), ("imges", "images"),
                                             ("stpo", "stop"), ("comopse", "compose"), ("zzzzzz", "")])
def test_a_misspelt_command(word: str, meant: str) -> None:
    text = str(pages.unknown_command("", word))
    assert text.startswith(f"solva: '{word}' is not a solva command.")
    assert (f"Did you mean '{meant}'?" in text) == bool(meant)


def test_exit_statuses_of_wrong_command_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sp"]) == 1
    assert run(["ps", "--foo"]) == 125
    assert run(["ps", "a"]) == 1
    assert "solva: 'solva ps' accepts no arguments" in capsys.readouterr().err
    assert run(["exec", "x"]) == 1
    assert "requires at least 2 arguments" in capsys.readouterr().err
    assert run(["--foo"]) == 125
    assert run(["network", "foo"]) == 1
    assert run(["ps", "--help"]) == 0
    assert run(["run", "--help"]) == 0
    assert run(["container", "create", "--help"]) == 0
    assert run([]) == 0
    assert run(["network"]) == 0


@pytest.mark.parametrize(("size", "text"), [(0, "0B"), (999, "999B"), (1982761, "1.98MB"), (237_000_000, "237MB")])
def test_human_size(size: int, text: str) -> None:
    assert human_size(size) == text


def test_binary_size_and_bytes() -> None:
    assert binary_size(25_275_000_000) == "23.54GiB"
    assert parse_bytes("1.5g") == 1_610_612_736
    assert parse_bytes("64MiB") == 64 << 20
    with pytest.raises(ValueError, match="invalid size: 'abc'"):
        parse_bytes("abc")


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (180, "3 minutes"),
    (3600, "About an hour"), (7200, "2 hours"), (3 * 86400, "3 days"), (21 * 86400, "3 weeks"),
    (100 * 86400, "3 months"), (3 * 366 * 86400, "3 years")])
def test_human_duration(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


def test_durations() -> None:
    assert parse_duration("1m30s") == 90_000_000_000
    assert parse_duration("1.5h") == 5_400_000_000_000
    with pytest.raises(ValueError, match='missing unit in duration "5"'):
        parse_duration("5")


def test_align_is_tabwriters() -> None:
    assert align([["A", "BBBBBBBBBBBB", "C"], ["aaaaaaaaaaaa", "b", "c"]]) == [
        "A              BBBBBBBBBBBB   C", "aaaaaaaaaaaa   b              c"]


def test_natural_order() -> None:
    assert sorted(["db10", "db2", "a", "7d", "52"], key=natural) == ["7d", "52", "a", "db2", "db10"]


@pytest.mark.parametrize(("ports", "text"), [
    ([], ""),
    ([{"PrivatePort": 80, "Type": "tcp"}], "80/tcp"),
    ([{"PrivatePort": 80, "Type": "tcp"}, {"PrivatePort": 81, "Type": "tcp"}], "80-81/tcp"),
    ([{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 80, "Type": "tcp"},
      {"IP": "::", "PrivatePort": 80, "PublicPort": 80, "Type": "tcp"}], "0.0.0.0:80->80/tcp, [::]:80->80/tcp"),
    ([{"IP": "127.0.0.1", "PrivatePort": 80, "PublicPort": 8088, "Type": "tcp"},
      {"PrivatePort": 53, "Type": "udp"}], "53/udp, 127.0.0.1:8088->80/tcp"),
    ([{"IP": "0.0.0.0", "PrivatePort": port, "PublicPort": port, "Type": "tcp"} for port in (9000, 9001, 9002)],
     "0.0.0.0:9000-9002->9000-9002/tcp"),
])
def test_ports_of_ps(ports: list[dict[str, object]], text: str) -> None:
    assert display_ports(ports) == text


def test_references() -> None:
    assert parse("busybox").canonical() == "docker.io/library/busybox"
    assert parse("localhost:5000/a/b:1").canonical() == "localhost:5000/a/b:1"
    assert parse("docker.io/library/x:2").familiar_repository == "x"
    assert parse("ghcr.io/a/b@sha256:00").auth_key == "ghcr.io"
    for bad in ("Bad", "a:", "", "a b"):
        with pytest.raises(ValueError, match="invalid reference format"):
            parse(bad)


def test_detach_keys() -> None:
    keys = DetachFilter(detach_sequence(""))
    assert keys.feed(b"ab\x10c") == b"ab\x10c"
    assert keys.feed(b"x\x10") == b"x"
    with pytest.raises(Detached):
        keys.feed(b"\x11")
    assert detach_sequence("ctrl-a,x") == b"\x01x"


def test_demultiplexer_takes_frames_apart_wherever_they_are_cut() -> None:
    stream = b"\x01\0\0\0\0\0\0\x05hello" + b"\x02\0\0\0\0\0\0\x03err" + b"\x01\0\0\0\0\0\0\x01!"
    for cut in range(1, len(stream)):
        out: list[bytes] = []
        err: list[bytes] = []
        feed = Demultiplexer(out.append, err.append).feed
        feed(stream[:cut])
        feed(stream[cut:])
        assert (b"".join(out), b"".join(err)) == (b"hello!", b"err")


def test_ps_imports_nothing_heavy() -> None:
    source = Path(__file__).parents[3] / "src"
    code = ("import sys\nfrom solva.cli.main import run\nrun(['-H','unix:///nosuch','ps'])\n"
            "print(*[name for name in ('re','enum','json','socket','typing','threading','argparse','asyncio',"
            "'dataclasses','subprocess','urllib.parse') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(source)!r})\n{code}"],
                          capture_output=True, text=True, check=False)
    assert done.stdout.strip() == ""
    assert "cannot reach the engine at unix:///nosuch" in done.stderr


def test_help_is_quick() -> None:
    started = time.perf_counter()
    assert pages.root_help().startswith("Usage:  solva [OPTIONS] COMMAND")
    assert time.perf_counter() - started < 0.2
