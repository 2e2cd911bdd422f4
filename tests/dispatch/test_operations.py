"""Beside answers: vectors and counts, on the same way through dispatch; and requests that everybody refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm_pool.config.schemas import spec_of
from llm_pool.core.errors import AllProvidersFailed, ContextTooLong, ProviderError, RequestRefused, Unsupported
from llm_pool.core.types import (
    Finished,
    Image,
    Message,
    Reasoning,
    Started,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
    replace,
)
from llm_pool.telemetry.metrics import Metrics
from tests.scripted import USAGE, Scripted, answer, counted, pool_of, request

if TYPE_CHECKING:
    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request

OFF = {"qos": {"max_retries": 0, "hedge": "off"}}


class Embedding(Scripted):
    """It embeds by its script."""

    def embed(self, asked: Request) -> Answering:
        return self.chat(asked)


class Counting(Scripted):
    def count(self, asked: Request) -> Answering:
        return self.chat(asked)


async def test_vectors_come_the_way_of_an_answer_and_fail_over_like_one() -> None:
    ill = Embedding(opening=[ProviderError("down")])
    well = Embedding(Started("m", "x"), Finished("stop", USAGE, vectors=((1.0, 2.0), (3.0, 4.0))))
    asking = pool_of({"a": ill, "b": well}, sections=OFF)
    asked = replace(request(model="sim/m"), operation="embed", inputs=("one", "two"), messages=())
    got = await asking.infer(asked)
    assert got.vectors == ((1.0, 2.0), (3.0, 4.0))
    assert (got.model, got.provider, got.usage) == ("sim/m", "b", USAGE)
    assert [attempt.outcome for attempt in asked.trace.attempts] == ["PROVIDER_FAILED", "ok"]
    assert well.requests[0].inputs == ("one", "two")


async def test_who_makes_no_vectors_says_so_and_is_not_asked() -> None:
    words = Scripted()
    asking = pool_of({"a": words})
    with pytest.raises(Unsupported, match="a makes no embeddings"):
        await asking.infer(replace(request(model="sim/m"), operation="embed", inputs=("one",)))
    assert words.opened == 0


async def test_who_can_count_counts() -> None:
    asking = pool_of({"a": Counting(Started("m", "x"), Finished("stop", Usage(), counted=12))})
    assert (await asking.infer(replace(request(model="sim/m"), operation="count"))).counted == 12


async def test_for_who_cannot_count_it_is_estimated_from_all_that_is_said() -> None:
    words = Scripted()
    metrics = Metrics()
    asking = pool_of({"a": words}, metrics=metrics)
    messages = (
        Message("user", (Text("x" * 40), Image("image/png", b"..."))),
        Message("assistant", (Reasoning("y" * 20), ToolCall("1", "name", "{}" + " " * 14))),
        Message("tool", (ToolResult("1", (Text("z" * 20),)),)),
    )
    tools = (Tool("name", "does it", {"type": "object"}),)
    asked = replace(request(model="sim/m"), operation="count", messages=messages, tools=tools)
    got = await asking.infer(asked)
    assert got.counted == 10 + 1000 + 5 + 5 + 5 + -(-(4 + 7 + 17) // 4)
    assert (got.model, got.provider, got.usage) == ("sim/m", "a", Usage())
    assert words.opened == 0
    assert [warning.code for warning in asked.trace.warnings] == ["tokens_estimated"]
    assert counted(metrics, "llm_pool_tokens_total") == 0


async def test_an_estimate_needs_nobody_and_teaches_nothing() -> None:
    """Not even somebody whose breaker is open, and who stays as little trusted as before."""
    asking = pool_of({"a": Scripted()})
    (standing,) = asking.learned.of("a")
    standing.operate("open")
    assert (await asking.infer(replace(request("x" * 8, model="sim/m"), operation="count"))).counted == 2
    assert standing.breaker("chat").held
    assert standing.snapshot()["first_token_ms"] is None


async def test_where_a_server_of_a_counting_protocol_cannot_count_it_is_estimated() -> None:
    asking = pool_of({"a": Counting(opening=[Unsupported("no such path")])}, sections=OFF)
    asked = replace(request("x" * 8, model="sim/m"), operation="count")
    assert (await asking.infer(asked)).counted == 2
    assert [attempt.outcome for attempt in asked.trace.attempts] == ["UNSUPPORTED_BY_PROVIDER", "ok"]


async def test_a_count_that_fails_otherwise_is_no_estimate() -> None:
    asking = pool_of({"a": Counting(opening=[ProviderError("down")])}, sections=OFF)
    with pytest.raises(ProviderError):
        await asking.infer(replace(request(model="sim/m"), operation="count"))


# --- Refusals ---------------------------------------------------------------------------------------------------


def refusing(error: ProviderError) -> Scripted:
    return Scripted(opening=[error])


async def test_a_request_that_everybody_refuses_is_the_callers_mistake() -> None:
    asking = pool_of({"a": refusing(ContextTooLong("too long")), "b": refusing(RequestRefused("no"))}, sections=OFF)
    with pytest.raises(ContextTooLong):
        await asking.infer(request())


async def test_one_that_somebody_could_not_look_at_is_not() -> None:
    asking = pool_of({"a": refusing(ContextTooLong("too long")), "b": refusing(ProviderError("down"))}, sections=OFF)
    with pytest.raises(AllProvidersFailed):
        await asking.infer(request())


async def test_what_one_refuses_another_may_take() -> None:
    asking = pool_of({"a": refusing(ContextTooLong("too long")), "b": Scripted(*answer("fits"))}, sections=OFF)
    assert (await asking.infer(request())).content == "fits"


# --- Schemas beside tools ---------------------------------------------------------------------------------------


async def test_an_answer_that_calls_tools_is_held_to_no_schema_yet() -> None:
    called = ToolCallDelta(0, "1", "f", "{}")
    asking = pool_of({"a": Scripted(Started("m", "x"), called, Finished("tool_calls", USAGE))})
    got = await asking.infer(replace(request(), spec=spec_of({"type": "object"}), tools=(Tool("f"),)))
    assert got.tool_calls == (ToolCall("1", "f", "{}"),)


async def test_an_answer_that_was_withheld_is_held_to_no_schema() -> None:
    withheld = Scripted(Started("m", "x"), TextDelta("I cannot."), Finished("content_filter", USAGE))
    got = await pool_of({"a": withheld}).infer(replace(request(), spec=spec_of({"type": "object"})))
    assert (got.content, got.reason) == ("I cannot.", "content_filter")


async def test_a_deployment_with_a_limit_keeps_to_it_where_the_caller_named_none() -> None:
    capped = Scripted()
    asking = pool_of({"a": capped}, tables={"a": {"max_tokens": 64}})
    asked = replace(request(model="sim/m"), verbatim=True)
    await asking.infer(asked)
    assert capped.requests[0].sampling.max_tokens == 64
    assert asked.trace.warnings == []
