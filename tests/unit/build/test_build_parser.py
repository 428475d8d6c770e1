"""The Dockerfile's syntax: lines, directives, heredocs, errors; and that no input makes the parser fall over."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solva.api.types.build import BuildOptions
from solva.build.arguments import Arguments
from solva.build.dockerfile.ast import DockerfileError
from solva.build.dockerfile.parser import NAMES, parse
from solva.build.dockerfile.words import Expander
from solva.build.graph import plan
from solva.errors import InvalidParameter, NotImplementedHere


def planned(text: str):  # type: ignore[no-untyped-def]
    return plan(parse(text), Arguments(BuildOptions(), "linux/amd64"), BuildOptions())


def test_lines_are_kept() -> None:
    found = parse("# c\nFROM x\n\nRUN a \\\n # in between\n\n  b\nCOPY <<E <<-'F' /d/\n1\nE\n\t2\n\tF\nCMD x\n")
    assert [(node.name, node.lines.first, node.lines.last) for node in found.nodes] == [
        ("FROM", 2, 2), ("RUN", 4, 7), ("COPY", 8, 12), ("CMD", 13, 13)]
    assert found.nodes[1].rest == "a   b"
    first, second = found.nodes[2].heredocs
    assert (first.content, first.expand) == ("1\n", True)
    assert (second.content, second.expand, second.chomp) == ("2\n", False, True)
    assert [node.empty_continuation for node in found.nodes].count(True) == 1


def test_directives() -> None:
    found = parse("# syntax=docker/dockerfile:1\n# escape = `\n\nFROM x\nRUN a `\n b\n")
    assert found.escape == "`"
    assert found.nodes[1].rest == "a  b"
    assert parse("# nothing\n# escape=`\nFROM x\n").escape == "\\"


@pytest.mark.parametrize(("line", "message"), [
    ("RUNN x", "unknown instruction: RUNN (did you mean RUN?)"),
    ("COPY --foo=1 a b", "unknown flag: --foo (did you mean from?)"),
    ("COPY a", "COPY requires at least two arguments, but only one was provided. Destination could not be determined"),
    ("ENV a", "ENV must have two arguments"),
    ("ENV a=b c", 'Syntax error - can\'t find = in "c". Must be of the form: name=value'),
    ("ENV =x", "ENV names can not be blank"),
    ("WORKDIR", "WORKDIR requires exactly one argument"),
    ("EXPOSE", "EXPOSE requires at least one argument"),
    ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
    ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
    ("HEALTHCHECK x", 'Unknown type "X" in HEALTHCHECK (try CMD)'),
    ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
    ("HEALTHCHECK --interval=1 CMD x", 'time: missing unit in duration "1"'),
    ("SHELL sh", "SHELL requires the arguments to be in JSON form"),
    ("SHELL []", "SHELL requires at least one argument"),
    ("VOLUME []", "VOLUME requires at least one argument"),
    ("FROM a AS", "FROM requires either one or three arguments"),
    ("FROM a AS 1x", 'invalid name for build stage: "1x", name can\'t start with a number or contain symbols'),
    ("RUN --network=foo true", 'invalid network mode "foo"'),
    ("RUN --mount=type=foo true", 'unsupported mount type "foo"'),
    ("RUN <<E", "unterminated heredoc"),
    ('CMD ["a", 1]', "when using JSON array syntax, arrays must be comprised of strings only"),
    ("COPY --from=9 a b", "invalid stage index 9"),
])
def test_errors_have_dockers_words_and_the_line(line: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        planned(f"FROM busybox\n{line}\n")
    assert str(caught.value) == f"dockerfile parse error on line 2: {message}"


def test_no_stage() -> None:
    with pytest.raises(DockerfileError, match="no build stage in current context"):
        planned("RUN x\n")
    with pytest.raises(DockerfileError, match="file with no instructions"):
        parse("# only this\n")


@pytest.mark.parametrize(("text", "value"), [
    ("${A:-x}", "a"), ("${N:-x}", "x"), ("${E:-x}", "x"), ("${E-x}", ""), ("${A:+y}", "y"), ("${N+y}", ""),
    ("'$A'", "$A"), ('"$A b"', "a b"), ("\\$A", "$A"), ("$", "$"), ("${P##*/}", "c.t.z"), ("${P%.*}", "/b/c.t"),
    ("${P%%.*}", "/b/c"), ("${P/b/X}", "/X/c.t.z"), ("${P//[.]/X}", "/b/c.t.z"), ("${N:-${A}-${N:-q}}", "a-q"),
    ("x$A$A", "xaa"), ('"\\x\\""', '\\x"'),
])
def test_words(text: str, value: str) -> None:
    assert Expander({"A": "a", "E": "", "P": "/b/c.t.z"}).word(text) == value


@pytest.mark.parametrize("text", ["${", "${}", "${A", "${A:", "${A^}", "'x", '"x', "${N:?gone}", "${A:-", "${A/b"])
def test_bad_words(text: str) -> None:
    with pytest.raises(DockerfileError):
        Expander({"A": "a"}).word(text)


PIECES = st.sampled_from([*NAMES, *(name.lower() for name in NAMES), " ", " ", "\n", "\n", "\\\n", "FROM busybox\n",
                          "<<E", "<<-'E'", "E\n", "--from=", "--mount=type=cache,target=/x", "[", "]", '"', "'", ",",
                          "$", "${", "}", "${A:-", "=", "a", "/", "#", "# escape=`\n", "`", "\t", "\\", "\0", "é",
                          "--", "0", "80/tcp"])


@given(st.lists(PIECES, max_size=30).map("".join))
@settings(max_examples=400, deadline=None)
def test_no_input_gives_a_traceback(text: str) -> None:
    try:
        planned(text)
    except (InvalidParameter, NotImplementedHere):
        pass


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_no_bytes_give_a_traceback(data: bytes) -> None:
    try:
        planned(data.decode("latin-1"))
        parse(b"FROM x\n" + data)
    except (InvalidParameter, NotImplementedHere):
        pass


@given(st.lists(st.sampled_from(["$", "{", "}", "A", ":", "-", "+", "?", "#", "%", "/", "*", "'", '"', "\\", " ", "["]),
                max_size=25).map("".join))
@settings(max_examples=400, deadline=None)
def test_no_word_gives_a_traceback(text: str) -> None:
    try:
        Expander({"A": "a*b"}).words(text)
    except InvalidParameter:
        pass
