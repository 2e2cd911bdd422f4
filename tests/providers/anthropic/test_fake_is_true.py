"""The official client takes the fake for the real API: so the fake is true, and what it teaches us holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from tests.fakes.anthropic import FakeAnthropic, Script, error, frame
from tests.providers.anthropic.asking import CLOCK, GOLDEN, NEW, OLD, REDACTED, THOUGHT, WEATHER

if TYPE_CHECKING:
    from anthropic.types import MessageParam

pytestmark = pytest.mark.real_time

ASK: list[MessageParam] = [{"role": "user", "content": "hi"}]
TOOLS: Any = [
    {"name": "weather", "input_schema": {"type": "object"}},
    {"name": "clock", "input_schema": {"type": "object"}},
]


def client(fake: FakeAnthropic) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=fake.url, api_key="k", max_retries=0)


@pytest.mark.parametrize("name", GOLDEN)
async def test_the_official_client_adds_streams_up_to_what_was_meant(name: str) -> None:
    script = GOLDEN[name]
    async with FakeAnthropic({OLD: script}) as fake, client(fake) as official:
        async with official.messages.stream(model=OLD, max_tokens=64, messages=ASK) as stream:
            streamed = await stream.get_final_message()
        asked = await official.messages.create(model=OLD, max_tokens=64, messages=ASK)
        for message in (streamed, asked):
            content = [block.model_dump(exclude_none=True) for block in message.content]
            assert content == list(script.content)
            assert (message.stop_reason, message.stop_sequence) == (script.stop_reason, script.stop_sequence)
            assert message.usage.input_tokens == script.usage["input_tokens"]
            assert message.usage.output_tokens == script.last_usage["output_tokens"]
        assert fake.open_streams == 0


async def test_the_official_client_counts_and_lists() -> None:
    async with FakeAnthropic() as fake, client(fake) as official:
        assert (await official.messages.count_tokens(model=OLD, messages=ASK)).input_tokens == 42
        assert [model.id async for model in official.models.list(limit=5)] == [OLD]
        assert fake.asked("/v1/models")[0].query == {"limit": "5"}


async def test_the_official_client_raises_what_the_real_api_makes_it_raise() -> None:
    scripts = {
        "a": Script(inserted=frame(error("overloaded_error", "busy")), inserted_after=2),
        "b": Script.failing(529, "busy"),
        "c": Script.failing(429, "slowly", retry_after="2"),
        "d": Script.failing(401, "who?"),
    }
    async with FakeAnthropic(scripts) as fake, client(fake) as official:
        with pytest.raises(anthropic.APIStatusError, match="busy"):
            [
                event
                async for event in await official.messages.create(model="a", max_tokens=9, messages=ASK, stream=True)
            ]
        kinds = {"c": anthropic.RateLimitError, "d": anthropic.AuthenticationError, "e": anthropic.NotFoundError}
        for model, kind in kinds.items():
            with pytest.raises(kind):
                await official.messages.create(model=model, max_tokens=9, messages=ASK)
        with pytest.raises(anthropic.APIStatusError, match="busy") as busy:
            await official.messages.create(model="b", max_tokens=9, messages=ASK)
        assert busy.value.status_code == 529


async def test_a_loop_of_tools_that_is_sent_back_as_it_came_is_taken() -> None:
    scripts = (Script((THOUGHT, REDACTED, WEATHER, CLOCK), stop_reason="tool_use"), Script.saying("Rain."))
    async with FakeAnthropic({OLD: scripts}) as fake, client(fake) as official:
        more: Any = {"model": OLD, "max_tokens": 2048, "tools": TOOLS}
        more["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        first = await official.messages.create(messages=ASK, **more)
        called = [block.id for block in first.content if block.type == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": call, "content": "x"} for call in called]
        loop: Any = [*ASK, first.to_param(), {"role": "user", "content": results}]
        assert (await official.messages.create(messages=loop, **more)).stop_reason == "end_turn"


THINKING = {"type": "enabled", "budget_tokens": 1024}
CALLED = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "clock", "input": {}}]}
RETURNED = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}
OPEN = {"type": "json_schema", "schema": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"messages": []}, "at least one message"),
        ({"seed": 1}, "Extra inputs"),
        ({"temperature": 1.5}, "temperature"),
        ({"stop_sequences": [" "]}, "non-whitespace"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]}, "non-whitespace"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "role"),
        ({"messages": [*ASK, {"role": "system", "content": "x"}]}, "not supported on this model"),
        ({"messages": [*ASK, RETURNED], "tools": TOOLS}, "unexpected `tool_use_id`"),
        ({"messages": [*ASK, CALLED, *ASK], "tools": TOOLS}, "without `tool_result`"),
        ({"messages": [*ASK, CALLED, RETURNED]}, "must define tools"),
        ({"tool_choice": {"type": "any"}}, "with tools"),
        ({"thinking": THINKING | {"budget_tokens": 64}}, "max_tokens"),
        ({"thinking": THINKING}, "max_tokens"),
        ({"thinking": THINKING, "max_tokens": 4096, "temperature": 0.5}, "temperature"),
        ({"thinking": THINKING, "max_tokens": 4096, "tools": TOOLS, "tool_choice": {"type": "any"}}, "forces tool"),
        ({"thinking": {"type": "adaptive"}}, "adaptive"),
        ({"messages": [*ASK, {"role": "assistant", "content": [THOUGHT]}, *ASK]}, "signature"),
        ({"output_config": {"format": OPEN}}, "additionalProperties"),
    ],
)
async def test_what_the_documentation_says_is_refused_is_refused(body: dict[str, Any], why: str) -> None:
    async with FakeAnthropic() as fake, client(fake) as official:
        sent = {"model": OLD, "max_tokens": 1024, "messages": ASK} | body
        with pytest.raises(anthropic.BadRequestError, match=why):
            await official.post("/v1/messages", body=sent, cast_to=object)


async def test_newer_models_are_strict_about_other_things() -> None:
    async with FakeAnthropic({NEW: Script()}, budgets=False) as fake, client(fake) as official:
        for body in ({"temperature": 0.5}, {"thinking": THINKING, "max_tokens": 4096}):
            with pytest.raises(anthropic.BadRequestError, match="this model"):
                await official.post(
                    "/v1/messages", body={"model": NEW, "max_tokens": 9, "messages": ASK} | body, cast_to=object
                )
        later: Any = [*ASK, {"role": "system", "content": "x"}]
        await official.messages.create(model=NEW, max_tokens=9, messages=later)
