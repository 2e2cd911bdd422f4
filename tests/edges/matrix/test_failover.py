"""A conversation that goes on elsewhere: the thoughts of who has failed stay behind, and the caller is told."""

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
CHAT = "/v1/messages"

FIRST = Anthropic(priority=0)
DOORS: list[Door] = [Chat(), Responses(), Messages()]
SECONDS: list[Thinker] = [OpenAI(priority=1), OpenRouter(priority=1), Ollama(priority=1)]


@pytest.fixture(scope="module", params=SECONDS, ids=lambda second: second.name)
def second(request: pytest.FixtureRequest) -> Thinker:
    found: Thinker = request.param
    return found


@pytest.fixture(scope="module")
def pool(second: Thinker) -> Iterator[Standing]:
    with standing(pool_before([FIRST, second], toml=TOML)) as found:
        yield found


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_nobody_is_sent_the_thoughts_of_another(pool: Standing, second: Thinker, door: Door, stream: bool) -> None:
    async def story() -> None:
        thought, _, answer = TURNS
        FIRST.say_turn(thought)
        second.say_turn(answer)
        FIRST.fake.statuses.clear()
        before = await door.ask(pool.callers, "pool/fastest", QUESTION, stream=stream)
        assert before.told.model == FIRST.model("")
        assert "x-llm-pool-warnings" not in pool.callers.headers

        FIRST.fake.statuses[CHAT] = 503
        ids = [call[0] for call in before.told.calls]
        since = [*before.turn, *door.results((call_id, "21 °C") for call_id in ids)]
        asked = len(FIRST.fake.asked())
        after = await door.ask(pool.callers, "pool/fastest", QUESTION, since, stream=stream)
        assert len(FIRST.fake.asked()) == asked + 1, "once: nothing is tried twice"
        assert (after.told.model, after.told.text) == (second.model(""), answer.text)
        said, *results = second.again(thought, ids, ["21 °C"] * len(ids))
        for name in ("reasoning_content", "reasoning_details", "thinking"):
            said.pop(name, None)
        assert second.heard() == [*second.first(), said, *results]
        codes = {"reasoning_dropped", *second.loses}
        assert sorted(after.told.warnings) == sorted(codes)
        assert set(pool.callers.headers["x-llm-pool-warnings"].split(", ")) == codes
        assert pool.callers.headers["x-llm-pool-attempts"] == "2"

    pool.run(story())
