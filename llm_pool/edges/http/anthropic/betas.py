"""The header `anthropic-beta`: features that a client asks for by name, which are the provider's to know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llm_pool.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = "anthropic-beta"
MOST = 32

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def betas(said: Iterable[str]) -> tuple[str, ...]:
    """The names in these headers, each once. They go out in a header again, so nothing else may be in them.

    Raises InvalidRequest.
    """
    names = tuple(dict.fromkeys([name for each in said for part in each.split(",") if (name := part.strip())]))
    if len(names) > MOST:
        raise InvalidRequest(f"{HEADER}: at most {MOST} names are taken", field=HEADER)
    if not all(map(_NAME.fullmatch, names)):
        raise InvalidRequest(f"{HEADER}: must be names of letters, digits, dots, dashes and underscores", field=HEADER)
    return names
