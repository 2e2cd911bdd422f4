"""Fields of a body in somebody else's protocol that the pool does not know: taken, named in a warning, and never used.

Clients of such protocols send what is newer than we are, and give back what other servers added. A body whose class is
`Open` takes that anywhere in it: its value is dropped unseen, so that nothing of it can redirect a call or change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, GetPydanticSchema, PlainValidator, ValidationInfo
from pydantic_core import core_schema

from llm_pool.core.types import Warning
from llm_pool.edges.bodies import word

if TYPE_CHECKING:
    from collections.abc import Collection

MOST_NAMED = 8  # in warnings; one more is kept, which says that there were more


def _noted(name: str, info: ValidationInfo) -> str:
    """Called for unknown fields only: a body that has none costs nothing."""
    names: dict[str, None] | None = info.context
    if names is not None and len(names) <= MOST_NAMED:
        names[name] = None
    return name


def _dropped(*_: object) -> core_schema.CoreSchema:
    return core_schema.with_default_schema(core_schema.none_schema(), default=None, on_error="default")


class Open(BaseModel):
    """An object whose known fields are checked. Validate it with a dict as `context` to get the names of the others."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[
        Annotated[str, PlainValidator(_noted, json_schema_input_type=str)],
        Annotated[None, GetPydanticSchema(_dropped, lambda *_: {})],
    ]


def warned(names: Collection[str]) -> tuple[Warning, ...]:
    """One of each that is a word: what is none may be anything, a question even, and is not repeated."""
    words = [quoted for name in names if (quoted := word(name))][:MOST_NAMED]
    told = [f"the unknown field {quoted} has no effect here" for quoted in words]
    if len(words) < len(names):
        told.append(f"{'more ' if words else ''}unknown fields have no effect here")
    return tuple([Warning("parameter_ignored", each) for each in told])
