"""Values of a provider's answer, each of the kind it must be, for every wire that is JSON. Pure.

Whatever is of another kind raises ProviderGarbled, which names the server and the field, and repeats nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from llm_pool.core.errors import ProviderGarbled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_pool.core.errors import ProviderError
    from llm_pool.core.types import Event

MOST_TOKENS = 2**31 - 1  # what fits into our own messages; nobody counts further

T = TypeVar("T")


def typed(values: dict[str, Any], key: str, kind: type[T], *, who: str) -> T | None:
    value = values.get(key)
    if value is not None and type(value) is not kind:  # exact: a bool is no count
        raise wrong(key, who)
    return value


def count_of(values: dict[str, Any], key: str, *, who: str) -> int | None:
    count = typed(values, key, int, who=who)
    if count is not None and not 0 <= count <= MOST_TOKENS:
        raise wrong(key, who)
    return count


def object_of(said: bytes, *, who: str) -> dict[str, Any]:
    try:
        value = orjson.loads(said)
    except orjson.JSONDecodeError:
        raise ProviderGarbled(f"{who} sent something that is not JSON") from None
    if not isinstance(value, dict):
        raise ProviderGarbled(f"{who} sent JSON that is no object")
    return value


def wrong(key: str, who: str) -> ProviderGarbled:
    return ProviderGarbled(f'{who} sent "{key}" of a wrong kind')


def is_json(said: bytes) -> bool:
    """What was cut is not."""
    try:
        orjson.loads(said)
    except orjson.JSONDecodeError:
        return False
    return True


def before(error: ProviderError, said: Iterable[Event]) -> Iterator[Event]:
    """Words that came in one packet with what is wrong are not lost."""
    yield from said
    raise error
