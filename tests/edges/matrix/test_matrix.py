"""Whatever a provider says, every door tells the same: {door} x {provider} x {whole, streamed} x {what is said}."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.edges.both import grpc_stream, grpc_whole, http_stream, http_whole
from tests.edges.matrix.behind import Anthropic, Ollama, OpenAI, Sim, Wire
from tests.edges.matrix.doors import Chat, Messages, Own, Responses
from tests.edges.matrix.standing import pool_before, standing
from tests.edges.matrix.words import CONTENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.edges.matrix.behind import Behind
    from tests.edges.matrix.doors import Door, Heard
    from tests.edges.matrix.standing import Standing
    from tests.edges.matrix.words import Told

DOORS: list[Door] = [
    Own("infer", http_whole, http_stream),
    Own("grpc", grpc_whole, grpc_stream),
    Chat(),
    Responses(),
    Messages(),
]
PROVIDERS: list[Behind] = [OpenAI(), OpenAI(openrouter=True), Anthropic(), Ollama(), Sim()]


@pytest.fixture(scope="module")
def pool() -> Iterator[Standing]:
    with standing(pool_before(PROVIDERS)) as found:
        yield found


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_door_tells_what_a_provider_says(pool: Standing, door: Door, provider: Behind, content: str) -> None:
    async def asked_twice() -> list[Heard]:
        model, question = provider.model(content), CONTENTS[content].question
        return [await door.ask(pool.callers, model, question, stream=stream) for stream in (False, True)]

    provider.say(CONTENTS[content].said)
    whole, streamed = pool.run(asked_twice())
    expected = provider.told(content)
    assert like(whole.told, expected) == expected
    assert streamed.told == whole.told
    assert streamed.whole == whole.whole
    assert provider.asked() == [provider.body(CONTENTS[content].question)] * (2 if isinstance(provider, Wire) else 0)


def like(told: Told, expected: Told) -> Told:
    """Without ids of calls that nobody can know before: they are there, and different."""
    ids = [call[0] for call in told.calls]
    assert all(ids), "a call without an id"
    assert len(set(ids)) == len(ids)
    unknown = all(call[0] == "" for call in expected.calls)
    return replace(told, calls=tuple(("", *call[1:]) for call in told.calls)) if unknown else told
