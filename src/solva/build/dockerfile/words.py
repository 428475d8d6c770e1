"""Words of a Dockerfile: splitting, quotes, ``$VARIABLES``. As BuildKit's shell lexer does, no shell involved.

Outside quotes the escape character takes the next character literally; inside double quotes only before ``"``, ``$``
and itself; single quotes keep everything. Modifiers: ``:-`` ``-`` ``:+`` ``+`` ``:?`` ``?`` ``#`` ``##`` ``%`` ``%%``
``/`` ``//``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from solva.build.dockerfile.ast import DockerfileError

MAX_DEPTH = 100


def split_words(text: str, escape: str = "\\") -> list[str]:
    """Split at blanks outside quotes; quotes and escapes stay in the words. An open quote runs to the end."""
    words: list[str] = []
    word = ""
    quote = ""
    index = 0
    while index < len(text):
        char = text[index]
        index += 1
        if not quote and char.isspace():
            if word:
                words.append(word)
                word = ""
            continue
        word += char
        if quote:
            if char == quote:
                quote = ""
            elif char == escape and quote == '"' and index < len(text):
                word += text[index]
                index += 1
        elif char in "'\"":
            quote = char
        elif char == escape and index < len(text):
            word += text[index]
            index += 1
    if word:
        words.append(word)
    return words


@dataclass(slots=True)
class Expander:
    """Expands words against variables; remembers which names were asked for and were not there."""

    variables: Mapping[str, str]
    escape: str = "\\"
    unset: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)

    def word(self, text: str) -> str:
        """``text`` as one word: quotes removed, variables put in, blanks kept."""
        return _Run(self, text).whole()[0]

    def words(self, text: str) -> list[str]:
        """``text`` as words; an unquoted variable's value is split at blanks too."""
        return _Run(self, text).whole()[1]

    def heredoc(self, text: str) -> str:
        """The body of an unquoted heredoc: variables put in, quotes are ordinary characters."""
        return _Run(self, text, quotes=False).whole()[0]


class _Run:
    """One pass over one text."""

    def __init__(self, expander: Expander, text: str, quotes: bool = True, depth: int = 0) -> None:
        if depth > MAX_DEPTH:
            raise DockerfileError("variables nested too deeply")
        self.expander = expander
        self.text = text
        self.quotes = quotes
        self.depth = depth
        self.index = 0
        self.list: list[str] = []
        self.current = ""
        self.in_word = False

    # words

    def _add(self, text: str) -> None:
        """Unquoted text: blanks end words."""
        for char in text:
            if char.isspace():
                self._end()
            else:
                self.current += char
                self.in_word = True

    def _add_raw(self, text: str) -> None:
        self.current += text
        self.in_word = True

    def _end(self) -> None:
        if self.in_word:
            self.list.append(self.current)
        self.current, self.in_word = "", False

    def whole(self) -> tuple[str, list[str]]:
        result = self._until("")
        self._end()
        return result, self.list

    # text

    def _until(self, stop: str) -> str:
        """Process up to one of the characters ``stop`` (consumed), or to the end when ``stop`` is empty."""
        out: list[str] = []
        text = self.text
        while self.index < len(text):
            char = text[self.index]
            if stop and char == stop:
                self.index += 1
                return "".join(out)
            if char == "$":
                value = self._dollar()
                self._add(value)
                out.append(value)
            elif self.quotes and char == "'":
                value = self._single()
                self._add_raw(value)
                out.append(value)
            elif self.quotes and char == '"':
                value = self._double()
                self._add_raw(value)
                out.append(value)
            elif char == self.expander.escape:
                value = self._escaped()
                self._add_raw(value) if value else None
                out.append(value)
            else:
                self.index += 1
                self._add(char)
                out.append(char)
        if stop:
            raise DockerfileError(f"unexpected end of statement while looking for matching {stop!r}")
        return "".join(out)

    def _escaped(self) -> str:
        self.index += 1
        if self.index >= len(self.text):
            return "" if self.quotes else self.expander.escape
        char = self.text[self.index]
        self.index += 1
        return char

    def _single(self) -> str:
        end = self.text.find("'", self.index + 1)
        if end < 0:
            raise DockerfileError("unexpected end of statement while looking for matching single-quote")
        value = self.text[self.index + 1:end]
        self.index = end + 1
        return value

    def _double(self) -> str:
        out: list[str] = []
        self.index += 1
        text, escape = self.text, self.expander.escape
        while self.index < len(text):
            char = text[self.index]
            if char == '"':
                self.index += 1
                return "".join(out)
            if char == "$":
                out.append(self._dollar())
                continue
            self.index += 1
            if char == escape and self.index < len(text):
                following = text[self.index]
                self.index += 1
                out.append(following if following in ('"', "$", escape) else char + following)
            else:
                out.append(char)
        raise DockerfileError("unexpected end of statement while looking for matching double-quote")

    # variables

    def _dollar(self) -> str:
        self.index += 1
        if self.text[self.index:self.index + 1] != "{":
            name = self._name()
            return self._value(name) or "" if name else "$"
        self.index += 1
        if self.text[self.index:self.index + 1] in ("}", ""):
            raise DockerfileError("syntax error: missing '}'" if self.index >= len(self.text) else
                                  "syntax error: bad substitution")
        name = self._name()
        modifier = self.text[self.index:self.index + 1]
        if not name or (modifier == ":" and self.index + 1 >= len(self.text)):
            raise DockerfileError("syntax error: bad substitution" if not name else "syntax error: missing '}'")
        if modifier == "}":
            self.index += 1
            return self._value(name) or ""
        if not modifier:
            raise DockerfileError("syntax error: missing '}'")
        return self._modified(name)

    def _name(self) -> str:
        """A name, one special character (``@*#?-$!0``) or digits; empty when none stands here."""
        match = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!]").match(self.text, self.index)
        if match is None:
            return ""
        self.index = match.end()
        return match[0]

    def _value(self, name: str) -> str | None:
        value = self.expander.variables.get(name)
        if value is None:
            self.expander.unset.add(name)
        else:
            self.expander.used.add(name)
        return value

    def _modified(self, name: str) -> str:
        text = self.text
        colon = text[self.index] == ":"
        if colon:
            self.index += 1
        operator = text[self.index:self.index + 1]
        self.index += 1
        if operator not in ("-", "+", "?") and (colon or operator not in ("#", "%", "/")):
            raise DockerfileError(f"unsupported modifier ({':' if colon else ''}{operator}) in substitution")
        if operator in ("#", "%", "/"):
            return self._pattern(name, operator)
        word = self._nested("}")
        value = self._value(name)
        self.expander.used.add(name)
        present = value is not None and (bool(value) or not colon)
        if operator == "-":
            return value or "" if present else word
        if operator == "+":
            return word if present else ""
        if not present:
            raise DockerfileError(f"{name}: {word or 'not allowed to be unset'}")
        return value or ""

    def _nested(self, stop: str) -> str:
        """The text up to ``stop``, itself expanded; words of it are not words of ours."""
        inner = _Run(self.expander, self.text, depth=self.depth + 1)
        inner.index = self.index
        try:
            value = inner._until(stop)
        except DockerfileError as error:
            if "matching '" in error.bare:
                raise DockerfileError("syntax error: missing '}'") from None
            raise
        self.index = inner.index
        return value

    def _raw_until(self, stops: str) -> tuple[str, str]:
        """Raw text (escapes kept, variables expanded) up to one of ``stops``, and which one it was."""
        out = ""
        text, escape = self.text, self.expander.escape
        while self.index < len(text):
            char = text[self.index]
            if char in stops:
                self.index += 1
                return out, char
            if char == escape and self.index + 1 < len(text):
                out += "\\" + text[self.index + 1]
                self.index += 2
            elif char == "$":
                inner = _Run(self.expander, text, depth=self.depth + 1)
                inner.index = self.index
                out += inner._dollar()
                self.index = inner.index
            elif char in "'\"":
                inner = _Run(self.expander, text, depth=self.depth + 1)
                inner.index = self.index
                out += re.sub(r"([\\*?])", r"\\\1", inner._single() if char == "'" else inner._double())
                self.index = inner.index
            else:
                out += char
                self.index += 1
        raise DockerfileError("syntax error: missing '}'")

    def _pattern(self, name: str, operator: str) -> str:
        double = self.text[self.index:self.index + 1] == operator
        if double:
            self.index += 1
        value = self._value(name) or ""
        if operator == "/":
            pattern, stop = self._raw_until("/}")
            replacement = self._nested("}") if stop == "/" else ""
            found = re.compile(glob_regex(pattern, greedy=True), re.DOTALL)
            if not pattern:
                return value
            return found.sub(lambda _: replacement, value, count=0 if double else 1)
        pattern, _ = self._raw_until("}")
        if operator == "#":
            match = re.compile(glob_regex(pattern, greedy=double), re.DOTALL).match(value)
            return value[match.end():] if match else value
        return _trim_suffix(value, pattern, longest=double)


def _trim_suffix(value: str, pattern: str, longest: bool) -> str:
    whole = re.compile(glob_regex(pattern, greedy=True), re.DOTALL)
    starts = range(len(value) + 1) if longest else range(len(value), -1, -1)
    for start in starts:
        if whole.fullmatch(value, start):
            return value[:start]
    return value


def glob_regex(pattern: str, greedy: bool) -> str:
    """A shell pattern (``*``, ``?``, backslash escapes) as a regular expression."""
    out = ""
    index = 0
    while index < len(pattern):
        char = pattern[index]
        index += 1
        if char == "*":
            out += ".*" if greedy else ".*?"
        elif char == "?":
            out += "."
        elif char == "\\" and index < len(pattern):
            out += re.escape(pattern[index])
            index += 1
        else:
            out += re.escape(char)
    return out
