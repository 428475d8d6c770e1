"""Rules about the file as a whole: its lines, the casing of words, the names of stages, the images they begin with."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from solva.build.dockerfile.ast import Dockerfile, DockerfileError, Node
from solva.build.dockerfile.words import Expander, split_words
from solva.build.lint import warning as rules
from solva.build.lint.warning import Finding

_PREDEFINED = ("BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT", "TARGETPLATFORM", "TARGETOS", "TARGETARCH",
               "TARGETVARIANT", "TARGETOSVERSION", "TARGETSTAGE")
_REFERENCE = re.compile(r"(?:[a-zA-Z0-9.-]+(?::\d+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?"
                        r"(?:@sha256:[0-9a-f]{64})?\Z")
RESERVED = ("context", "scratch")


def lines(parsed: Dockerfile) -> Iterator[Finding]:
    """Continuations that go over an empty line."""
    for node in parsed.nodes:
        if node.empty_continuation:
            yield Finding(rules.EMPTY_CONTINUATION, "Empty continuation line", node.lines.last)


def words_of(node: Node) -> tuple[str, str, str]:
    """FROM's image, its AS as written, its stage's name as written."""
    words = [word for word in node.rest.split() if not word.startswith("--")]
    return (words[0] if words else "", words[1] if len(words) == 3 else "", words[2] if len(words) == 3 else "")


def names(nodes: Sequence[Node]) -> Iterator[Finding]:
    """Stage names and MAINTAINER."""
    seen: set[str] = set()
    for node in nodes:
        line = node.lines.first
        if node.name == "MAINTAINER":
            yield Finding(rules.MAINTAINER, "Maintainer instruction is deprecated in favor of using label", line)
        if node.name != "FROM":
            continue
        _, keyword, name = words_of(node)
        if not name:
            continue
        if name != name.lower():
            yield Finding(rules.STAGE_CASING, f"Stage name '{name}' should be lowercase", line)
        written = node.original.split(None, 1)[0]
        if keyword.islower() != written.islower() or keyword.isupper() != written.isupper():
            yield Finding(rules.AS_CASING, f"'{keyword}' and '{written}' keywords' casing do not match", line)
        if name.lower() in RESERVED:
            yield Finding(rules.RESERVED_STAGE, "Stage name should not use the same name as reserved stage "
                                                 f'"{name}"', line)
        if name.lower() in seen:
            yield Finding(rules.DUPLICATE_STAGE, f'Duplicate stage name "{name.lower()}", stage names should be '
                                                 "unique", line)
        seen.add(name.lower())


def casing(nodes: Sequence[Node]) -> Iterator[Finding]:
    """Instructions that are not cased as most are."""
    written = [(node, node.original.split(None, 1)[0]) for node in nodes]
    lower = sum(word.islower() for _, word in written)
    upper = sum(word.isupper() for _, word in written)
    majority = "lowercase" if lower > upper else "uppercase"
    for node, word in written:
        if word != (word.lower() if lower > upper else word.upper()):
            yield Finding(rules.CASING, f"Command '{word}' should match the case of the command majority ({majority})",
                           node.lines.first)


def global_args(before: Sequence[Node]) -> dict[str, str | None]:
    """ARGs before the first FROM with their defaults."""
    found: dict[str, str | None] = {}
    for node in before:
        if node.name == "ARG":
            for word in split_words(node.rest, node.escape):
                name, equals, value = word.partition("=")
                known = {key: text for key, text in found.items() if text is not None}
                found[name] = _expanded(value, known, node) if equals else None
    return found


def _expanded(text: str, variables: dict[str, str], node: Node) -> str:
    try:
        return Expander(variables, node.escape).word(text)
    except DockerfileError:
        return ""


def bases(before: Sequence[Node], heads: Sequence[Node]) -> Iterator[Finding]:
    """What FROM lines begin with, and for which platform."""
    declared = global_args(before)
    for node in heads:
        image, _, name = words_of(node)
        line = node.lines.first
        defaults = {key: value for key, value in declared.items() if value is not None}
        defaults |= dict.fromkeys(_PREDEFINED, "x")
        expander = Expander(defaults, node.escape)
        try:
            base = expander.word(image)
        except DockerfileError:
            continue
        if "$" in image and not _REFERENCE.match(base):
            yield Finding(rules.DEFAULT_ARG, f"Default value for ARG {image} results in empty or invalid base image "
                                              "name", line)
        yield from _platform(node, name, expander)
        for missing in sorted(expander.unset - set(declared)):
            yield Finding(rules.UNDEFINED_ARG, f"FROM argument '{missing}' is not declared"
                           + suggestion(missing, [*declared, *_PREDEFINED], ""), line)


def _platform(node: Node, name: str, expander: Expander) -> Iterator[Finding]:
    platform = next((flag.partition("=")[2] for flag in node.flags if flag.startswith("--platform=")), "")
    if not platform:
        return
    if platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
        yield Finding(rules.REDUNDANT_PLATFORM, f"Setting platform to predefined {platform} in FROM is redundant as "
                                                 "this is the default behavior", node.lines.first)
    elif "$" not in platform:
        architecture = platform.rpartition("/")[2]
        if architecture not in name:
            yield Finding(rules.CONST_PLATFORM, f'FROM --platform flag should not use constant value "{platform}"',
                           node.lines.first)
    try:
        expander.word(platform)
    except DockerfileError:
        return


def suggestion(name: str, known: Sequence[str], mark: str) -> str:
    """`` (did you mean X?)`` where something known is near."""
    near = difflib.get_close_matches(name, sorted(set(known)), 1, 0.7)
    return f" (did you mean {mark}{near[0]}?)" if near else ""


def descriptions(nodes: Sequence[Node], text: Sequence[str]) -> Iterator[Finding]:
    """Comments right above a stage or an argument that do not begin with its name."""
    for node in nodes:
        line = node.lines.first
        if node.name not in ("FROM", "ARG") or line < 2 or not text[line - 2].lstrip().startswith("#"):
            continue
        comment = text[line - 2].lstrip().removeprefix("#").strip()
        name = words_of(node)[2] if node.name == "FROM" else node.rest.split("=")[0].split()[0]
        if name and comment and comment.split(None, 1)[0] != name and "=" not in comment.split(None, 1)[0]:
            kind = "build stage" if node.name == "FROM" else "ARG"
            yield Finding(rules.DESCRIPTION, f"Comment for {kind} should follow the format: `# {name} "
                                             "<description>`", line)
