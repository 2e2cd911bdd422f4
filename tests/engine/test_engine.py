"""The engine itself, without the pool: the models say what they should, and a slot is free when its caller has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.engine.models import ADD, CHAIN, GIBBERISH, MULTIPLY, SUM, TEXT, THINKER, THOUGHT, TOOL, TOOLS, pieces
from tests.engine.server import KEY, serving, several
from tests.engine.tools import OPENAI

if TYPE_CHECKING:
    from tests.engine.models import Model

pytestmark = [pytest.mark.engine, pytest.mark.real_time]

QUESTION = {"role": "user", "content": "What is two and three?"}


async def asked(url: str, *messages: dict[str, Any], **more: Any) -> Any:
    body = {"messages": messages or [QUESTION], **more}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/chat/completions", json=body) as answer:
        assert answer.status == 200, await answer.text()
        return (await answer.json())["choices"][0]


def test_no_piece_of_an_answer_occurs_twice() -> None:
    """Else the chain would take the second for the first, and never end."""
    found = pieces("to be or not to be or what", set())
    assert found == ["to", "▁be", "▁or", "▁not", "▁to", "▁be▁or", "▁what"]
    assert pieces("to be or not to be", {"▁not", "▁to"}) == ["to", "▁be", "▁or", "▁not▁to▁be"]


async def test_a_chain_always_says_its_answer_and_stops() -> None:
    async with serving(CHAIN) as engine:
        for temperature in (0.0, 1.0):
            answer = await asked(engine.url, temperature=temperature)
            assert answer["message"]["content"] == TEXT
            assert answer["finish_reason"] == "stop"


@pytest.mark.parametrize(("model", "arguments"), [(TOOL, [ADD]), (TOOLS, [ADD, MULTIPLY]), (THINKER, [ADD])])
async def test_tools_are_called_and_their_results_answered(model: Model, arguments: list[str]) -> None:
    async with serving(model) as engine:
        call = await asked(engine.url, tools=OPENAI)
        assert call["finish_reason"] == "tool_calls"
        assert [each["function"]["arguments"] for each in call["message"]["tool_calls"]] == arguments
        assert call["message"].get("reasoning_content", "").strip() == (THOUGHT if model is THINKER else "")

        results = [
            {"role": "tool", "tool_call_id": each["id"], "content": "5"} for each in call["message"]["tool_calls"]
        ]
        answer = await asked(engine.url, QUESTION, call["message"], *results, tools=OPENAI)
        assert answer["message"]["content"] == SUM


async def test_a_caller_who_leaves_frees_the_slot() -> None:
    body = {"messages": [QUESTION], "stream": True}
    async with serving(GIBBERISH) as engine, aiohttp.ClientSession() as session:
        async with session.post(f"{engine.url}/v1/chat/completions", json=body) as answer:
            await answer.content.readany()
            assert await engine.busy() == 1
        await engine.idle()


async def test_it_wants_its_key() -> None:
    async with serving(CHAIN, key=True) as engine, aiohttp.ClientSession() as session:
        for key, status in ((KEY, 200), ("another", 401)):
            sent = {"Authorization": f"Bearer {key}"}
            async with session.get(f"{engine.url}/v1/models", headers=sent) as answer:
                assert answer.status == status


async def test_one_engine_may_serve_several_models() -> None:
    async with several(CHAIN, TOOL) as engine:
        assert (await asked(engine.url, model="chain"))["message"]["content"] == TEXT
        assert (await asked(engine.url, model="tool", tools=OPENAI))["finish_reason"] == "tool_calls"
