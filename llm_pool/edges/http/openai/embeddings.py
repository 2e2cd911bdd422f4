"""`POST /v1/embeddings`: the vectors of texts, or of their tokens, as numbers or packed."""

from __future__ import annotations

import math
import sys
from array import array
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from llm_pool.core.errors import InvalidRequest, ProviderGarbled
from llm_pool.edges.asking import verbatim
from llm_pool.edges.http.door import Question
from llm_pool.edges.http.openai.parts import Strict, checked, warnings_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_pool.core.streams import Answer
    from llm_pool.core.types import Request, Warning
    from llm_pool.edges.http.door import Call

MOST_INPUTS = 2048
MOST_TOKEN = 2**32 - 1

# Each kind is given up at its first mistake: there may be a hundred thousand tokens, and each would be one as a text.
_Texts = Annotated[list[str], Field(fail_fast=True)]
_Tokens = Annotated[list[Annotated[int, Field(ge=0, le=MOST_TOKEN)]], Field(fail_fast=True)]


class EmbeddingsBody(Strict):
    """What to embed: one text or one list of tokens, or several of one kind."""

    model: Annotated[str, Field(min_length=1, max_length=256)] = Field(description="`provider/model`, or an alias")
    input: str | _Texts | _Tokens | Annotated[list[_Tokens], Field(fail_fast=True)] = Field(
        description=f"none of them empty, and {MOST_INPUTS} at most"
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="`base64`: of 32-bit floats, the least significant byte first"
    )
    dimensions: Annotated[int, Field(ge=1, le=65_536)] | None = None
    user: Annotated[str, Field(max_length=512)] | None = Field(None, description="an end user below you")


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One question as the core words it."""

    model: str
    inputs: tuple[str | tuple[int, ...], ...]
    packed: bool = False
    dimensions: int | None = None
    user: str | None = None
    warnings: tuple[Warning, ...] = ()


class EmbeddingsDoor:
    def parsed(self, raw: bytes) -> Embeddings:
        body, warnings = checked(EmbeddingsBody, raw)
        return Embeddings(
            model=body.model,
            inputs=_inputs(body.input),
            packed=body.encoding_format == "base64",
            dimensions=body.dimensions,
            user=body.user,
            warnings=tuple(warnings),
        )

    def question(self, body: Embeddings, call: Call) -> Question:
        request = verbatim(
            call.pool,
            call.account,
            model=body.model,
            messages=(),
            transport=call.patience(stream=False),
            user=body.user,
            operation="embed",
            inputs=body.inputs,
            dimensions=body.dimensions,
        )
        request.trace.warnings.extend(body.warnings)
        return Question(request, answered=lambda answers: _told(request, answers[0], packed=body.packed), telling=None)


def _inputs(said: str | list[str] | list[int] | list[list[int]]) -> tuple[str | tuple[int, ...], ...]:
    """Raises InvalidRequest."""
    several: list[Any] = [said] if isinstance(said, str) or (said and isinstance(said[0], int)) else list(said)
    if not 1 <= len(several) <= MOST_INPUTS:
        raise InvalidRequest(f"input: must be 1 to {MOST_INPUTS} texts or lists of tokens", field="input")
    for index, each in enumerate(several):
        if not each:
            place = "input" if isinstance(said, str) else f"input.{index}"
            raise InvalidRequest(f"{place}: must not be empty", field=place)
    return tuple([each if isinstance(each, str) else tuple(each) for each in several])


def _told(request: Request, answer: Answer, *, packed: bool) -> dict[str, Any]:
    tokens = answer.usage.input + answer.usage.cache_read + answer.usage.cache_write
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector, answer.provider) if packed else vector}
            for index, vector in enumerate(answer.vectors)
        ],
        "model": answer.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        **warnings_json(request.trace),
    }


def _packed(vector: Sequence[float], who: str) -> str:
    """Raises ProviderGarbled."""
    numbers = array("f", vector)
    if not math.isfinite(sum(numbers)):  # it adds up in 64 bits, in which finite ones of 32 stay finite
        raise ProviderGarbled(f"{who} sent a number that does not fit into 32 bits")
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode("ascii")
