"""Walk the declared settings: which sections there are, which keys a table has, and what type a key is."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from llm_pool.config.settings import PENDING, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

    from llm_pool.config.locate import KeyPath


def plain(annotation: Any) -> Any:
    """The type itself, without `Annotated` and without `| None`."""
    if get_origin(annotation) is Annotated:
        return plain(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        return plain(next(one for one in get_args(annotation) if one is not type(None)))
    return annotation


# Sections whose tables have names of the user's own: an array of tables, and a table of tables.
OWN_NAMES = ("providers", "tasks")


def keys_of(table: type[BaseModel] | None = None) -> Mapping[str, FieldInfo]:
    """The keys of a table as a file writes them."""
    return {field.alias or name: field for name, field in (table or Settings).model_fields.items()}


def values_of(table: BaseModel) -> Mapping[str, Any]:
    """The value of each key."""
    return {field.alias or name: getattr(table, name) for name, field in type(table).model_fields.items()}


def table_of(field: FieldInfo) -> type[BaseModel] | None:
    """The table that this key holds, alone, in a list or by name; None for a plain value."""
    kind = plain(field.annotation)
    if get_origin(kind) in {list, dict}:
        kind = plain(get_args(kind)[-1])
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def sections() -> dict[str, type[BaseModel]]:
    """Every section by name, in the order of the file, without `[[providers]]` and `[tasks.NAME]`."""
    found = {name: table_of(field) for name, field in keys_of().items() if name not in OWN_NAMES}
    return {name: table for name, table in found.items() if table}


def table_at(path: KeyPath) -> type[BaseModel] | None:
    """The declared table at this path; None where there is none, or only free keys (`strategy_by_task`)."""
    table: type[BaseModel] | None = Settings
    parts = iter(path)
    for part in parts:
        if isinstance(part, int):
            continue
        field = keys_of(table).get(part)
        table = table_of(field) if field else None
        if field is None or table is None:
            return None
        if get_origin(plain(field.annotation)) is dict:
            next(parts, None)  # the table's own name
    return table


def has_free_keys(field: FieldInfo) -> bool:
    """Whether this key holds a table whose keys are the user's own words (`strategy_by_task`, `extra_headers`)."""
    kind = plain(field.annotation)
    return get_origin(kind) is dict and get_args(kind)[1] is not Any and table_of(field) is None


def choices(field: FieldInfo) -> tuple[str, ...]:
    """The words that this key accepts, where it accepts only some."""
    kind = plain(field.annotation)
    return tuple(str(one) for one in get_args(kind)) if get_origin(kind) is Literal else ()


def pending(section: str, key: str) -> bool:
    """Whether this key is accepted but not active yet."""
    return section in PENDING or f"{section}.{key}" in PENDING
