"""Go's text/template language, read into a tree of tuples.

Nodes: ("text", str) ("action", pipe) ("if"|"with"|"range", pipe, body, otherwise) ("break",) ("continue",)
("define", name, body) ("template", name, pipe).
Pipe: (declared variables, is assignment, [command, ...]); command: [operand, ...].
Operand: ("field", [names]) ("var", name, [names]) ("chain", pipe, [names]) ("call", name) ("value", v) ("dot",)
("nil",).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Node = tuple[Any, ...]

_PUNCTUATION = ("|", "(", ")", ",", ":=", "=")


class TemplateSyntaxError(Exception):
    """The template cannot be read."""


def parse(source: str) -> list[Node]:
    """The tree of ``source``."""
    return _Parser(_split(source)).body(())[0]


def _split(source: str) -> list[tuple[str, Any, int]]:
    """("text", str, line) and ("action", tokens, line) in turn, trim markers applied."""
    pieces: list[tuple[str, Any, int]] = []
    index, line, trim_next = 0, 1, False
    while True:
        start = source.find("{{", index)
        text = source[index:] if start < 0 else source[index:start]
        if trim_next:
            text = text.lstrip(" \t\r\n")
        if start < 0:
            if text:
                pieces.append(("text", text, line))
            return pieces
        line += source.count("\n", index, start)
        inner = start + 2
        if source[inner:inner + 1] == "-" and source[inner + 1:inner + 2] in (" ", "\t", "\n", "\r"):
            text = text.rstrip(" \t\r\n")
            inner += 1
        if text:
            pieces.append(("text", text, line))
        stripped = source[inner:].lstrip(" \t\r\n")
        if stripped.startswith("/*"):
            end = source.find("*/", inner)
            if end < 0:
                raise TemplateSyntaxError(f"template: :{line}: unclosed comment")
            tail = source[end + 2:]
            trim_next = tail.lstrip(" \t\r\n").startswith("-}}")
            index = source.find("}}", end) + 2
            continue
        tokens, index, trim_next = _tokens(source, inner, line)
        pieces.append(("action", tokens, line))


def _tokens(source: str, index: int, line: int) -> tuple[list[tuple[str, Any]], int, bool]:
    """The tokens of one action, the index after its ``}}``, and whether text after it is trimmed."""
    tokens: list[tuple[str, Any]] = []
    size = len(source)
    while True:
        while index < size and source[index] in " \t\r\n":
            index += 1
        if index >= size:
            raise TemplateSyntaxError(f"template: :{line}: unclosed action")
        if source.startswith("}}", index):
            return tokens, index + 2, False
        if source.startswith("-}}", index):
            return tokens, index + 3, True
        char = source[index]
        if char == '"':
            value, index = _string(source, index, line)
            tokens.append(("value", value))
        elif char == "`":
            end = source.find("`", index + 1)
            if end < 0:
                raise TemplateSyntaxError(f"template: :{line}: unterminated raw quoted string")
            tokens.append(("value", source[index + 1:end]))
            index = end + 1
        elif char == "'":
            end = source.find("'", index + 2)
            body = source[index + 1:end]
            tokens.append(("value", ord(_unescape(body, line))))
            index = end + 1
        elif source.startswith(":=", index):
            tokens.append((":=", None))
            index += 2
        elif char in "|(),=":
            tokens.append((char, None))
            index += 1
        elif char.isdigit() or (char in "+-" and source[index + 1:index + 2].isdigit()):
            end = index + 1
            while end < size and (source[end].isalnum() or source[end] in "._"):
                end += 1
            tokens.append(("value", _number(source[index:end], line)))
            index = end
        elif char == "." or char == "$" or char == "_" or char.isalpha():
            end = index + 1
            while end < size and (source[end].isalnum() or source[end] in "_."):
                end += 1
            tokens.append(("word", source[index:end]))
            index = end
        else:
            raise TemplateSyntaxError(f'template: :{line}: unexpected "{char}" in operand' if char == "}" else
                                      f"template: :{line}: unrecognized character in action: U+{ord(char):04X} "
                                      f"'{char}'")


def _string(source: str, index: int, line: int) -> tuple[str, int]:
    end = index + 1
    while end < len(source) and source[end] != '"':
        if source[end] == "\n":
            break
        end += 2 if source[end] == "\\" else 1
    if end >= len(source) or source[end] != '"':
        raise TemplateSyntaxError(f"template: :{line}: unterminated quoted string")
    return _unescape(source[index + 1:end], line), end + 1


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "a": "\a", "b": "\b", "f": "\f",
            "v": "\v"}


def _unescape(body: str, line: int) -> str:
    if "\\" not in body:
        return body
    result, index = "", 0
    while index < len(body):
        char = body[index]
        index += 1
        if char != "\\":
            result += char
            continue
        kind = body[index:index + 1]
        index += 1
        length = {"x": 2, "u": 4, "U": 8}.get(kind)
        if length:
            result += chr(int(body[index:index + length], 16))
            index += length
        elif kind in _ESCAPES:
            result += _ESCAPES[kind]
        else:
            raise TemplateSyntaxError(f"template: :{line}: invalid syntax")
    return result


def _number(text: str, line: int) -> int | float:
    try:
        return int(text, 0)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise TemplateSyntaxError(f'template: :{line}: bad number syntax: "{text}"') from None


class _Parser:
    """Recursive descent over the pieces."""

    def __init__(self, pieces: list[tuple[str, Any, int]]) -> None:
        self.pieces = pieces
        self.at = 0
        self.line = 1

    def body(self, ends: tuple[str, ...]) -> tuple[list[Node], str, list[tuple[str, Any]]]:
        """Nodes up to one of ``ends``: (nodes, the ending word, the tokens after that word)."""
        nodes: list[Node] = []
        while self.at < len(self.pieces):
            kind, content, self.line = self.pieces[self.at]
            self.at += 1
            if kind == "text":
                nodes.append(("text", content))
                continue
            word = content[0][1] if content and content[0][0] == "word" else ""
            if word in ends:
                return nodes, word, content[1:]
            if word in ("if", "with", "range"):
                nodes.append(self.control(word, content[1:]))
            elif word in ("break", "continue"):
                nodes.append((word,))
            elif word == "define":
                inner = self.body(("end",))[0]
                nodes.append(("define", content[1][1], inner))
            elif word == "template":
                pipe = self.pipeline(content[2:]) if len(content) > 2 else None
                nodes.append(("template", content[1][1], pipe))
            elif word in ("end", "else"):
                raise TemplateSyntaxError(f"template: :{self.line}: unexpected {{{{{word}}}}}")
            elif not content:
                raise TemplateSyntaxError(f"template: :{self.line}: missing value for command")
            else:
                nodes.append(("action", self.pipeline(content)))
        if ends:
            raise TemplateSyntaxError(f"template: :{self.line}: unexpected EOF")
        return nodes, "", []

    def control(self, word: str, tokens: list[tuple[str, Any]]) -> Node:
        if not tokens:
            raise TemplateSyntaxError(f"template: :{self.line}: missing value for {word}")
        pipe = self.pipeline(tokens)
        nodes, ending, rest = self.body(("end", "else"))
        otherwise: list[Node] = []
        if ending == "else":
            if rest and rest[0] in (("word", "if"), ("word", "with")):
                otherwise = [self.control(rest[0][1], rest[1:])]
            else:
                otherwise = self.body(("end",))[0]
        return (word, pipe, nodes, otherwise)

    def pipeline(self, tokens: list[tuple[str, Any]]) -> Node:
        """A pipe: declarations, then commands."""
        names: list[str] = []
        assign = False
        for index, (kind, _) in enumerate(tokens):
            if kind in (":=", "="):
                heads = tokens[:index]
                if all(kind == "," or (kind == "word" and str(value).startswith("$")) for kind, value in heads):
                    names = [value for kind, value in heads if kind == "word"]
                    assign = tokens[index][0] == "="
                    tokens = tokens[index + 1:]
                break
            if kind not in ("word", ","):
                break
        commands: list[list[Node]] = []
        current: list[Node] = []
        index = 0
        while index < len(tokens):
            kind, value = tokens[index]
            if kind == "|":
                if not current:
                    raise TemplateSyntaxError(f"template: :{self.line}: missing value for command")
                commands.append(current)
                current = []
                index += 1
            elif kind == "(":
                end = self.closing(tokens, index)
                inner = self.pipeline(tokens[index + 1:end])
                index = end + 1
                names_after: list[str] = []
                if index < len(tokens) and tokens[index][0] == "word" and str(tokens[index][1]).startswith(".") \
                        and len(tokens[index][1]) > 1:
                    names_after = tokens[index][1][1:].split(".")
                    index += 1
                current.append(("chain", inner, names_after))
            elif kind == "word":
                current.append(self.word(value))
                index += 1
            elif kind == "value":
                current.append(("value", value))
                index += 1
            else:
                raise TemplateSyntaxError(f'template: :{self.line}: unexpected "{kind}" in operand')
        if not current:
            raise TemplateSyntaxError(f"template: :{self.line}: missing value for command")
        commands.append(current)
        return (names, assign, commands)

    def closing(self, tokens: list[tuple[str, Any]], start: int) -> int:
        depth = 0
        for index in range(start, len(tokens)):
            if tokens[index][0] == "(":
                depth += 1
            elif tokens[index][0] == ")":
                depth -= 1
                if depth == 0:
                    return index
        raise TemplateSyntaxError(f"template: :{self.line}: unclosed left paren")

    def word(self, text: str) -> Node:
        if text == ".":
            return ("dot",)
        if text.startswith("."):
            return ("field", text[1:].split("."))
        if text.startswith("$"):
            name, *fields = text.split(".")
            return ("var", name, [field for field in fields if field])
        if text in ("true", "false"):
            return ("value", text == "true")
        if text == "nil":
            return ("nil",)
        from solva.cli.output.template_functions import FUNCTIONS

        if text not in FUNCTIONS and text not in ("and", "or"):
            raise TemplateSyntaxError(f'template: :{self.line}: function "{text}" not defined')
        return ("call", text)
