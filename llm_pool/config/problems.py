"""Say what is wrong with a configuration: one line each, with the place, the key and what would be right.

A value is shown only where it cannot be a secret: never one of `api_key`, `extra_headers` or `base_url`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llm_pool.config.base import Conflict
from llm_pool.config.fields import choices, keys_of, sections, table_at
from llm_pool.config.locate import Lines
from llm_pool.core.errors import nearest, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic_core import ErrorDetails

    from llm_pool.config.locate import KeyPath

MOST_PROBLEMS = 100  # described; a file of nothing but mistakes must not keep the pool from answering
NEVER_SHOWN = frozenset({"api_key", "extra_headers", "base_url"})

_MUST_BE = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
    "string_too_short": "not empty",
    "too_short": "not empty",
    "string_pattern_mismatch": "1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "{} or more"),
    "greater_than": ("gt", "above {}"),
    "less_than_equal": ("le", "{} or less"),
    "less_than": ("lt", "below {}"),
}


class ConfigError(ValueError):
    """The configuration cannot be used. One line as a whole; `problems` has every line."""

    def __init__(self, *problems: str) -> None:
        self.problems = tuple(_one_line(problem) for problem in problems)
        more = len(problems) - 1
        super().__init__(self.problems[0] + (f" (and {more} more: see check-config)" if more else ""))


@dataclass(frozen=True, slots=True)
class Sources:
    """Where each value came from: the lines of the file, and what the environment set instead."""

    file: str
    lines: Lines = field(default_factory=Lines)
    environment: Mapping[KeyPath, str] = field(default_factory=dict)  # path -> name of the variable
    names: tuple[str | None, ...] = ()  # of the [[providers]], where they have one

    def where(self, path: KeyPath) -> str:
        variable = self.environment.get(path)
        return f"environment {variable}" if variable else f"{self.file}:{self.lines.of(path)}"

    def is_set(self, path: KeyPath) -> bool:
        return path in self.environment or path in self.lines

    def dotted(self, path: KeyPath) -> str:
        """`providers.phi3.weight`: with a provider's name, or its number from 1 where it has none."""
        match path:
            case ("providers", int(index), *rest):
                name = self.names[index] if index < len(self.names) else None
                start = f"providers.{shown(name)}" if name else f"[[providers]] number {index + 1}, "
                path = tuple(rest)
            case _:
                start = ""
        for part in path:
            start += f" item {part + 1}" if isinstance(part, int) else f".{shown(part)}"
        return start.replace(", .", ", ", 1).removesuffix(", ").removeprefix(".")

    def table(self, path: KeyPath) -> str:
        """`[server]`, `[[providers]] "phi3"`: a table as its heading is written."""
        match path:
            case ("providers", int(index)):
                name = self.names[index] if index < len(self.names) else None
                return f'[[providers]] "{shown(name)}"' if name else f"[[providers]] number {index + 1}"
            case ("providers", int(index), *rest):
                return f"[{'.'.join(('providers', *map(str, rest)))}] of {self.table(path[:2])}"
            case _:
                return f"[{self.dotted(path)}]"


def problems_of(errors: Iterable[ErrorDetails], sources: Sources) -> tuple[str, ...]:
    """One line per error of the validation: those of the file by line, then those of the environment."""
    found = []
    for error in errors:
        path = _path(error, sources)
        variable = path in sources.environment
        found.append((variable, 0 if variable else sources.lines.of(path), path, error))
    found.sort(key=lambda each: each[:2])
    lines = [f"{sources.where(path)}: {_said(path, error, sources)}" for *_, path, error in found[:MOST_PROBLEMS]]
    more = len(found) - len(lines)
    return (*lines, *([f"{sources.file}: {more} more problems"] if more else []))


def no_such_key(known: Iterable[str], key: str, place: str, suggestion: str = '"{}"') -> str:
    """`unknown key "prot" in [server]; did you mean "port"?`. Beyond the table itself, others that have the key."""
    if near := nearest(key, known):
        hint = f"; did you mean {suggestion.format(near)}?"
    else:
        homes = [name for name, table in sections().items() if key in keys_of(table)]
        hint = f"; it belongs in [{homes[0]}]" if homes else ""
    return f'unknown key "{shown(key)}"{place and f" in {place}"}{hint}'


def value_shown(value: object) -> str:
    """` (got 0)`, or nothing where the value is long or made of parts."""
    match value:
        case bool():
            return f" (got {str(value).lower()})"
        case int() if value.bit_length() > 64:  # noqa: PLR2004 - Python refuses to print integers of 4,300 digits
            return " (got a huge number)"
        case int() | float():
            return f" (got {value})"
        case str():
            return f' (got "{shown(value)}")'
        case _:
            return ""


def _path(error: ErrorDetails, sources: Sources) -> KeyPath:
    """The key at fault. Of several that conflict: the one from the environment, else the first that is set."""
    path = tuple(part for part in error["loc"] if part != "[key]")  # pydantic's word for a name that is wrong
    conflict = error.get("ctx", {}).get("error")
    if not isinstance(conflict, Conflict):
        return path
    candidates = [path + at for at in conflict.at]
    for stated in (sources.environment, sources.lines):
        for candidate in candidates:
            if candidate in stated:
                return candidate
    return path


def _said(path: KeyPath, error: ErrorDetails, sources: Sources) -> str:
    hint = ""
    match error["type"]:
        case "extra_forbidden":
            return _extra(path, error["input"], sources)
        case "missing":
            return f"{sources.table(path[:-1])} has no {path[-1]}"
        case "value_error" if isinstance(error["ctx"]["error"], Conflict):
            above = sources.dotted(tuple(error["loc"]))
            return f"{above}: {error['ctx']['error']}".removeprefix(": ")
        case "list_type" if path == ("providers",):
            return "providers: must be [[providers]] tables, with two brackets"
        case "literal_error":
            said, hint = _choice(path, error["input"])
        case "value_error":
            said = str(error["ctx"]["error"])
            return f"{sources.dotted(path)}: {said}".removeprefix(": ")
        case kind if kind in _BOUNDS:
            name, words = _BOUNDS[kind]
            said = "must be " + words.format(_bound(error["ctx"][name]))
        case kind if kind in _MUST_BE:
            said = f"must be {_MUST_BE[kind]}"
        case _:
            said = error["msg"][:1].lower() + error["msg"][1:]
    got = "" if NEVER_SHOWN.intersection(path) else value_shown(error["input"])
    return f"{sources.dotted(path)}: {said}{got}{hint}"


def _extra(path: KeyPath, value: object, sources: Sources) -> str:
    *above, key = path
    table = tuple(above)
    known: Sequence[str] = tuple(keys_of(table_at(table) or None))
    if above:
        return no_such_key(known, str(key), sources.table(table))
    if not isinstance(value, dict | list):
        return no_such_key((), str(key), "")
    near = nearest(str(key), known)
    hint = f"; did you mean {'[[providers]]' if near == 'providers' else f'[{near}]'}?" if near else ""
    return f"unknown section [{shown(str(key))}]{hint}"


def _choice(path: KeyPath, value: object) -> tuple[str, str]:
    table = table_at(path[:-1])
    field = keys_of(table).get(str(path[-1])) if table else None
    words = choices(field) if field else ()
    near = nearest(value, words) if isinstance(value, str) and value not in words else ""
    hint = f'; did you mean "{near}"?' if near else ""
    return "must be " + " or ".join(f'"{word}"' for word in words), hint


def _bound(limit: Any) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
