"""A conversation that goes on elsewhere: the thoughts of whoever fails now stay behind, and the caller is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.edges.matrix.doors import Chat, Messages, Responses
from tests.edges.matrix.standing import NO_PROMPT, pool_before, standing
from tests.edges.matrix.thinkers import QUESTION, TURNS, Anthropic, Ollama, OpenAI, OpenRouter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.edges.matrix.doors import Door
    from tests.edges.matrix.standing import Standing
    from tests.edges.matrix.thinkers import Thinker

TOML = f"""
{NO_PROMPT}
[qos]
balance = "priority"
hedge = "off"
max_retries = 0
[breaker]
enabled = false
"""

DOORS: list[Door] = [Chat(), Responses(), Messages()]
# Who fails, whose thoughts are signed, sealed or plain; and who goes on.
PAIRS: list[tuple[Thinker, Thinker]] = [
    (Anthropic(), OpenAI(priority=1)),
    (Anthropic(), OpenRouter(priority=1)),
    (Anthropic(), Ollama(priority=1)),
    (OpenRouter(), Anthropic(priority=1)),
    (OpenRouter(), OpenAI(priority=1)),
    (Ollama(), OpenAI(priority=1)),
    (Ollama(), Anthropic(priority=1)),
    (OpenAI(), Ollama(priority=1)),
]


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: f"{pair[0].name} then {pair[1].name}")
def pair(request: pytest.FixtureRequest) -> tuple[Thinker, Thinker]:
    found: tuple[Thinker, Thinker] = request.param
    return found


@pytest.fixture(scope="module")
def pool(pair: tuple[Thinker, Thinker]) -> Iterator[Standing]:
    with standing(pool_before(pair, toml=TOML)) as found:
        yield found


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_nobody_is_sent_the_thoughts_of_another(
    pool: Standing, pair: tuple[Thinker, Thinker], door: Door, stream: bool
) -> None:
    first, second = pair

    async def story() -> None:
        thought, _, answer = TURNS
        first.say_turn(thought)
        second.say_turn(answer)
        first.healthy()
        before = await door.ask(pool.callers, "pool/fastest", QUESTION, stream=stream)
        assert before.told.model == first.model("")

        first.down()
        ids = [call[0] for call in before.told.calls]
        since = [*before.turn, *door.results((call_id, "21 °C") for call_id in ids)]
        asked = len(first.fake.asked())
        after = await door.ask(pool.callers, "pool/fastest", QUESTION, since, stream=stream)
        assert len(first.fake.asked()) == asked + 1, "once: nothing is tried twice"
        assert (after.told.model, after.told.text) == (second.model(""), answer.text)
        assert second.heard() == [*second.first(), *second.again(thought, ids, ["21 °C"] * len(ids), thinks=False)]
        assert sorted(after.told.warnings) == sorted(second.warns)
        assert set(pool.callers.headers["x-llm-pool-warnings"].split(", ")) == second.warns
        assert pool.callers.headers["x-llm-pool-attempts"] == "2"

    pool.run(story())
