"""Go's text/template, as `--format` uses it, over plain Python values.

Errors are Go's: ``template: :1:2: executing "" at <.Foo>: ...``; columns are not tracked, so the position is the first
action's.
"""

from __future__ import annotations

from solva.cli.errors import CommandError
from solva.cli.output.template_functions import FUNCTIONS, show, truth
from solva.cli.output.template_parse import TemplateSyntaxError, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.output.template_parse import Node


class TemplateError(CommandError):
    """The template cannot be read (status 64) or run (status 1): Go's message, for the caller to begin."""

    def begun(self, prefix: str) -> TemplateError:
        """The error as the caller says it."""
        return TemplateError(f"{prefix}: {self}", self.status)


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Template:
    """A template that was read once and is rendered many times."""

    def __init__(self, source: str) -> None:
        try:
            self._nodes = parse(source)
        except TemplateSyntaxError as error:
            raise TemplateError(str(error), 64) from None
        self._defined = {node[1]: node[2] for node in self._nodes if node[0] == "define"}

    def render(self, data: Any) -> str:
        """The text for ``data``; TemplateError when it lacks what the template names."""
        out: list[str] = []
        scope = _Scope(data, {"$": data})
        try:
            self._walk(self._nodes, scope, out)
        except RecursionError:
            raise TemplateError("exceeded maximum template depth") from None
        return "".join(out)

    def _walk(self, nodes: list[Node], scope: _Scope, out: list[str]) -> None:
        for node in nodes:
            kind = node[0]
            if kind == "text":
                out.append(node[1])
            elif kind == "action":
                value = self._pipe(node[1], scope)
                if not node[1][0]:
                    out.append(show(value))
            elif kind == "range":
                self._range(node, scope, out)
            elif kind in ("if", "with"):
                inner = scope.child(scope.dot)
                value = self._pipe(node[1], inner)
                if truth(value):
                    if kind == "with":
                        inner.dot = value
                    self._walk(node[2], inner, out)
                else:
                    self._walk(node[3], scope.child(scope.dot), out)
            elif kind == "break":
                raise _Break
            elif kind == "continue":
                raise _Continue
            elif kind == "template":
                if node[1] not in self._defined:
                    raise TemplateError(f'template: :1: template "{node[1]}" not defined')
                data = self._pipe(node[2], scope) if node[2] else None
                self._walk(self._defined[node[1]], _Scope(data, {"$": data}), out)

    def _range(self, node: Node, scope: _Scope, out: list[str]) -> None:
        names, assign, commands = node[1]
        value = self._pipe(([], False, commands), scope)
        if isinstance(value, int) and not isinstance(value, bool):
            pairs: list[tuple[Any, Any]] = [(index, index) for index in range(value)]
        elif isinstance(value, dict):
            pairs = sorted(value.items())
        elif value is None:
            pairs = []
        elif isinstance(value, list | tuple):
            pairs = list(enumerate(value))
        else:
            raise TemplateError(f"template: :1: executing \"\" at <{_source(commands)}>: range can't iterate over "
                                f"{show(value)}")
        if not pairs:
            self._walk(node[3], scope.child(scope.dot), out)
            return
        for key, item in pairs:
            inner = scope.child(item)
            if names:
                inner.set(names[-1], item, assign)
                if len(names) == 2:
                    inner.set(names[0], key, assign)
            try:
                self._walk(node[2], inner, out)
            except _Break:
                break
            except _Continue:
                continue

    def _pipe(self, pipe: Node, scope: _Scope) -> Any:
        names, assign, commands = pipe
        value: Any = None
        for index, command in enumerate(commands):
            value = self._command(command, scope, [] if index == 0 else [value])
        for name in names:
            scope.set(name, value, assign)
        return value

    def _command(self, command: list[Node], scope: _Scope, piped: list[Any]) -> Any:
        head, *rest = command
        if head[0] == "call" and head[1] in ("and", "or"):
            return self._lazy(head[1], rest, scope, piped)
        args = [self._operand(operand, scope, []) for operand in rest] + piped
        if head[0] == "call":
            try:
                return FUNCTIONS[head[1]](*args)
            except TemplateError:
                raise
            except (TypeError, ValueError, LookupError, AttributeError) as error:
                text = _source([command])
                raise TemplateError(f"template: :1:2: executing \"\" at <{text}>: error calling {head[1]}: {error}") \
                    from None
        if args and head[0] in ("value", "nil"):
            raise TemplateError(f"template: :1: executing \"\" at <{_source([command])}>: "
                                "can't give argument to non-function")
        return self._operand(head, scope, args)

    def _lazy(self, name: str, operands: list[Node], scope: _Scope, piped: list[Any]) -> Any:
        value: Any = None
        for operand in operands:
            value = self._operand(operand, scope, [])
            if truth(value) == (name == "or"):
                return value
        return piped[0] if piped else value

    def _operand(self, operand: Node, scope: _Scope, args: list[Any]) -> Any:
        kind = operand[0]
        if kind == "field":
            return _fields(scope.dot, operand[1], args)
        if kind == "dot":
            return scope.dot
        if kind == "var":
            return _fields(scope.get(operand[1]), operand[2], args)
        if kind == "chain":
            return _fields(self._pipe(operand[1], scope), operand[2], args)
        if kind == "call":
            return self._command([operand], scope, args)
        return operand[1] if kind == "value" else None


class _Scope:
    """Dot and the variables in sight."""

    __slots__ = ("_outer", "_variables", "dot")

    def __init__(self, dot: Any, variables: dict[str, Any], outer: _Scope | None = None) -> None:
        self.dot = dot
        self._variables = variables
        self._outer = outer

    def child(self, dot: Any) -> _Scope:
        return _Scope(dot, {}, self)

    def get(self, name: str) -> Any:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope._variables:
                return scope._variables[name]
            scope = scope._outer
        raise TemplateError(f'template: :1: undefined variable "{name}"', 64)

    def set(self, name: str, value: Any, assign: bool) -> None:
        scope: _Scope | None = self
        while assign and scope is not None:
            if name in scope._variables:
                scope._variables[name] = value
                return
            scope = scope._outer
        self._variables[name] = value


def _fields(value: Any, names: list[str], args: list[Any]) -> Any:
    """``value.a.b``; the last name gets ``args``."""
    for index, name in enumerate(names):
        value = _field(value, name, args if index == len(names) - 1 else [], names)
    return value


def _field(value: Any, name: str, args: list[Any], path: list[str]) -> Any:
    where = f'template: :1:2: executing "" at <.{".".join(path)}>'
    if isinstance(value, dict):
        if name in value:
            return value[name]
        folded = name.lower()
        for key, item in value.items():
            if key.lower() == folded:
                return item
        raise TemplateError(f'{where}: map has no entry for key "{name}"')
    method = getattr(value, "template_field", None)
    if method is not None:
        try:
            return method(name, args)
        except KeyError:
            raise TemplateError(f"{where}: can't evaluate field {name} in type "
                                f"{value.template_type()}") from None
    if value is None:
        raise TemplateError(f"{where}: nil pointer evaluating interface {{}}.{name}")
    raise TemplateError(f"{where}: can't evaluate field {name} in type interface {{}}")


def _source(commands: list[list[Node]]) -> str:
    """The text of a pipeline, for errors."""
    parts = []
    for command in commands:
        words = []
        for operand in command:
            if operand[0] == "field":
                words.append("." + ".".join(operand[1]))
            elif operand[0] == "var":
                words.append(".".join([operand[1], *operand[2]]))
            elif operand[0] == "value":
                words.append(f'"{operand[1]}"' if isinstance(operand[1], str) else show(operand[1]))
            elif operand[0] == "call":
                words.append(operand[1])
            else:
                words.append(".")
        parts.append(" ".join(words))
    return " | ".join(parts)
