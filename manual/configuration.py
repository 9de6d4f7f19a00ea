"""The tables of the configuration file, with their keys, defaults and allowed words, as submission.config has them.

A key's text is the docstring behind it in the source, which Python itself throws away.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import typing
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from manual.roff import Page, bold, quote
from submission.config.text import shown


def describe(page: Page, table: type[BaseModel], header: str = "") -> None:
    """A table's keys, then the tables below it, each with the header that it has in the file."""
    page.subsection(quote(header or "Before any table"))
    page.paragraphs(table.__doc__ or "")
    texts = docstrings(table)
    for key, field in table.model_fields.items():
        if below(field) is None:
            page.item(_term(key, field), " ".join([texts.get(key, ""), _allowed(field)]).strip())
    for name, inner in _tables(table, header.strip("[]")):
        describe(page, inner, name)


def docstrings(table: type[BaseModel]) -> dict[str, str]:
    """The texts behind the keys of a table, and of those that it extends."""
    texts: dict[str, str] = {}
    for cls in reversed(table.__mro__):
        if issubclass(cls, BaseModel) and cls.__module__.startswith("submission."):
            (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
            assert isinstance(definition, ast.ClassDef)
            texts |= _texts(definition)
    return texts


def _texts(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, behind in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(behind, ast.Expr)
            and isinstance(behind.value, ast.Constant)
        ):
            yield statement.target.id, inspect.cleandoc(str(behind.value.value))


def below(field: FieldInfo) -> type[BaseModel] | None:
    """The table that a key holds, or whose repetitions it holds."""
    for kind in (field.annotation, *typing.get_args(field.annotation)):
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            return kind
    return None


def _tables(table: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for key, field in table.model_fields.items():
        inner = below(field)
        if inner is not None:
            full = f"{path}.{key}" if path else key
            yield (f"[{full}]" if inner is field.annotation else f"[[{full}]]"), inner


def _term(key: str, field: FieldInfo) -> str:
    """The key with its default, as it would stand in the file."""
    if field.is_required():
        return f"{bold(key)} (required)"
    return bold(key) if field.default_factory else f"{bold(key)} = {quote(shown(field.default))}"


def _allowed(field: FieldInfo) -> str:
    words = list(_words(field.annotation))
    return "Allowed: " + ", ".join(map(shown, words)) + "." if words else ""


def _words(annotation: object) -> Iterator[object]:
    """The words of a Literal, and of Literals in it."""
    if typing.get_origin(annotation) is typing.Literal:
        yield from typing.get_args(annotation)
