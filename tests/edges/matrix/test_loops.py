"""What a model thought comes back to it as it said it, in a loop of tools, through the official clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.edges.matrix.doors import Chat, Messages, Responses
from tests.edges.matrix.standing import pool_before, standing
from tests.edges.matrix.thinkers import QUESTION, TURNS, Anthropic, Ollama, OpenAI, OpenRouter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.edges.matrix.doors import Door
    from tests.edges.matrix.standing import Standing
    from tests.edges.matrix.thinkers import Thinker

DOORS: list[Door] = [Chat(), Responses(), Messages()]
PROVIDERS: list[Thinker] = [OpenAI(), OpenRouter(), Anthropic(), Ollama()]


@pytest.fixture(scope="module")
def pool() -> Iterator[Standing]:
    with standing(pool_before(PROVIDERS)) as found:
        yield found


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_thoughts_come_back_byte_by_byte(pool: Standing, door: Door, provider: Thinker, stream: bool) -> None:
    """The client hands back what it got, as it got it, with the results."""

    async def loop() -> None:
        since: list[Any] = []
        expected = provider.first()
        for turn in TURNS:
            provider.say_turn(turn)
            heard = await door.ask(pool.callers, provider.model(""), QUESTION, since, stream=stream)
            assert provider.heard() == expected
            assert details_of(provider.heard()) == details_of(expected)
            assert (heard.told.text, heard.told.thoughts) == (turn.text, turn.thought)
            assert "reasoning_dropped" not in heard.told.warnings
            ids = [call[0] for call in heard.told.calls]
            results = [f"{name} says: 21 °C" for _, name, _ in heard.told.calls]
            since += [*heard.turn, *door.results(zip(ids, results, strict=True))]
            expected += provider.again(turn, ids, results)

    pool.run(loop())


def details_of(messages: list[Any]) -> bytes:
    """What OpenRouter wants back, as JSON: in the same order of keys, too."""
    return orjson.dumps([message.get("reasoning_details") for message in messages])
