"""What the embedded engine cannot do is refused where it changes the question, and else told with a warning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_pool.config.schemas import spec_of
from llm_pool.core.errors import Unsupported
from llm_pool.core.types import (
    Finished,
    Image,
    Message,
    Reasoning,
    Sampling,
    Spec,
    Started,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Warning,
)
from llm_pool.providers.builtin.client import Builtin
from tests.providers.builtin.asking import request

pytestmark = pytest.mark.real_time

TOOL = Tool("weather")
IMAGE = Image("image/png", b"png")


async def events_of(task: str = "chat", **changes: Any) -> list[Any]:
    async with Builtin() as provider, provider.chat(request("red tents", task, **changes)) as events:
        return [event async for event in events]


async def warned(**changes: Any) -> list[str]:
    """The messages of its warnings, which come after `Started` and before the answer."""
    seen = await events_of(**changes)
    warnings = [event for event in seen if isinstance(event, Warning)]
    assert isinstance(seen[0], Started)
    assert seen[1 : 1 + len(warnings)] == warnings
    assert isinstance(seen[-1], Finished)
    assert any(isinstance(event, TextDelta) for event in seen)
    return [warning.message for warning in warnings]


def ignored(*names: str) -> list[str]:
    return [f'builtin/extractive cannot take "{name}": it was left out' for name in names]


LEFT_OUT: dict[str, tuple[dict[str, Any], list[str]]] = {
    "tools": ({"tools": (TOOL, Tool("other"))}, ignored("tools")),
    "tools of before": (
        {"messages": (Message.of("user", "x"), Message("tool", (ToolResult("c", (Text("y"),)),)))},
        ignored("tools"),
    ),
    "calls of before": ({"messages": (Message("assistant", (ToolCall("c", "weather", "{}"),)),)}, ignored("tools")),
    "stop": ({"sampling": Sampling(stop=("a", "b"))}, ignored("stop")),
    "top_p": ({"sampling": Sampling(top_p=0.5)}, ignored("top_p")),
    "top_k": ({"sampling": Sampling(top_k=5)}, ignored("top_k")),
    "seed": ({"sampling": Sampling(seed=0)}, ignored("seed")),
    "penalties": (
        {"sampling": Sampling(frequency_penalty=0.5, presence_penalty=0.5)},
        ignored("frequency_penalty", "presence_penalty"),
    ),
    "logprobs": ({"sampling": Sampling(logprobs=0)}, ignored("logprobs")),
    "effort": ({"sampling": Sampling(effort="low", thinking_tokens=9)}, ignored("effort", "thinking_tokens")),
    "betas": ({"betas": ("x-2025-01-01",)}, ignored("betas")),
    "marks": ({"messages": (Message("user", (Text("x", keep="5m"),)),)}, ignored("cache_control")),
    "thoughts": (
        {"messages": (Message("assistant", (Reasoning("hm"), Reasoning("hm"))), Message.of("user", "x"))},
        ["builtin/extractive cannot take the reasoning of others: it was left out"],
    ),
}


@pytest.mark.parametrize(("changes", "told"), LEFT_OUT.values(), ids=LEFT_OUT)
async def test_what_is_left_out_is_told_once(changes: dict[str, Any], told: list[str]) -> None:
    assert await warned(**changes) == told


NOTHING: dict[str, dict[str, Any]] = {
    "what tasks set": {"sampling": Sampling(max_tokens=50, temperature=0.2)},
    "not to think": {"sampling": Sampling(effort="none", thinking_tokens=0)},
    "to call none": {"tools": (TOOL,), "tool_choice": ToolChoice("none")},
}


@pytest.mark.parametrize("changes", NOTHING.values(), ids=NOTHING)
async def test_what_is_as_it_was_asked_for_is_no_warning(changes: dict[str, Any]) -> None:
    assert await warned(**changes) == []


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an image": ({"messages": (Message("user", (Text("what is it?"), IMAGE)),)}, "takes no images"),
    "an image of a tool": ({"messages": (Message("tool", (ToolResult("c", (IMAGE,)),)),)}, "takes no images"),
    "some tool": ({"tools": (TOOL,), "tool_choice": ToolChoice("required")}, "cannot be made to call a tool"),
    "this tool": ({"tools": (TOOL,), "tool_choice": ToolChoice("named", "weather")}, "cannot be made to call a tool"),
}


@pytest.mark.parametrize(("changes", "told"), REFUSED.values(), ids=REFUSED)
async def test_what_would_be_another_question_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(Unsupported, match=f"builtin/extractive {told}"):
        await events_of(**changes)


# --- Schemas ----------------------------------------------------------------------------------------------------

MINE = spec_of({"type": "object", "required": ["colour"]})


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("chat", "cannot answer chat in the form of a JSON schema"),
        ("expand_queries", "answers expand_queries in its own form only, which does not fit the schema"),
    ],
)
async def test_a_schema_of_the_caller_s_own_is_refused_in_plain_words(task: str, told: str) -> None:
    with pytest.raises(Unsupported, match=f"builtin/extractive {told}"):
        await events_of(task, spec=MINE)


async def test_a_schema_that_its_answer_fits_is_answered() -> None:
    seen = await events_of("expand_queries", spec=Spec({"type": "object"}, spec_of({"type": "object"}).problem))
    assert isinstance(json.loads(seen[1].text), dict)
