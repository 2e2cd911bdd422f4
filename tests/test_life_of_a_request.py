"""The life of a request, one test per promise. Read this first.

Every test opens the whole pool, as `llm-pool serve` does, from a configuration like a user's; only the models are
simulated and the clock jumps. What the edges add to it is told in `tests/edges`.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from llm_pool.app import running
from llm_pool.config.load import load
from llm_pool.core.errors import (
    AllProvidersFailed,
    DeadlineExceeded,
    ProviderTimeout,
    ProviderUnreachable,
    StreamBroken,
    UnknownModel,
    UnknownTask,
)
from llm_pool.core.streams import collect
from llm_pool.core.trace import Decision, Trace
from llm_pool.core.types import Finished, Message, Request, Sampling, Started, TextDelta, Warning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from llm_pool.pool import Pool

    Opening = Callable[[str], Awaitable[Pool]]

GOOD = """
[[providers]]
name = "good"
driver = "sim"
model = "parrot"
[providers.sim]
answers = ["one two three four"]
first_token.median_ms = 100
per_token.median_ms = 50
"""

DOWN = """
[[providers]]
name = "down"
driver = "sim"
model = "mute"
weight = 1_000_000
[providers.sim]
fail_rate = 1
first_token.median_ms = 30
"""

BREAKING = """
[[providers]]
name = "breaking"
driver = "sim"
model = "half"
weight = 1_000_000
[providers.sim]
break_rate = 1
answers = ["never to be heard in full"]
"""

STALLING = """
[[providers]]
name = "stalling"
driver = "sim"
model = "silent"
weight = 1_000_000
[providers.sim]
stall_rate = 1
"""

FALLBACK = """
[[providers]]
name = "last"
driver = "sim"
model = "stand-in"
fallback = true
[providers.sim]
answers = ["a stand-in speaks"]
"""


@pytest.fixture
async def opening(tmp_path: Path) -> AsyncIterator[Opening]:
    """Open a pool from the text of a configuration file; the test's end closes it."""
    async with AsyncExitStack() as stack:

        async def opened(toml: str) -> Pool:
            file = tmp_path / "llm-pool.toml"
            file.write_text(toml)
            clock = asyncio.get_running_loop().time
            pool = await stack.enter_async_context(running(load(file, {}), environ={}, now=clock, random=Random(1)))
            await pool.health.settled(within=1)
            return pool

        yield opened


def ask(
    pool: Pool, *, within: float = 10.0, whole: bool = True, task: str = "chat", model: str | None = None
) -> Request:
    """A question that may take `within` seconds."""
    return Request(
        id="question",
        messages=(Message.of("user", "Say something."),),
        deadline=asyncio.get_running_loop().time() + within,
        trace=Trace(started=pool.now()),
        task=task,
        model=model,
        whole=whole,
    )


def counted(pool: Pool, outcome: str) -> float:
    """How many requests of task chat ended so, as Prometheus would read it."""
    labels = {"task": "chat", "strategy": "fastest", "outcome": outcome}
    return pool.metrics.registry.get_sample_value("llm_pool_requests_total", labels) or 0.0


async def test_a_question_gets_an_answer_that_says_how_it_came_about(opening: Opening) -> None:
    pool = await opening(GOOD)
    request = ask(pool)

    answer = await pool.infer(request)

    assert answer.content == "one two three four"
    assert (answer.model, answer.provider, answer.reason) == ("sim/parrot", "good", "stop")
    decision = Decision.of(request.trace)
    assert (decision.strategy, decision.winner, decision.degraded) == ("fastest", "good", False)
    [voice] = decision.voices
    assert (voice.outcome, voice.usage.output) == ("ok", 4)
    assert voice.first_token == pytest.approx(voice.started + 0.1)
    assert voice.ended == pytest.approx(voice.started + 0.25)


async def test_a_stream_says_the_same_words_as_they_come(opening: Opening) -> None:
    pool = await opening(GOOD)
    clock = asyncio.get_running_loop().time
    begin = clock()
    heard: list[tuple[float, str]] = []

    async with pool.open(ask(pool, whole=False)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                heard.append((round(clock() - begin, 3), event.text))

    assert heard == [(0.1, "one "), (0.15, "two "), (0.2, "three "), (0.25, "four")]


async def test_an_answer_is_one_start_then_words_then_one_end(opening: Opening) -> None:
    pool = await opening(GOOD)

    async with pool.open(ask(pool, whole=False)) as events:
        kinds = [type(event) async for event in events]

    assert kinds == [Started, TextDelta, TextDelta, TextDelta, TextDelta, Finished]


async def test_a_deployment_that_fails_before_its_first_word_is_replaced_without_a_trace_in_the_answer(
    opening: Opening,
) -> None:
    pool = await opening(DOWN + GOOD)
    request = ask(pool, whole=False)

    async with pool.open(request) as events:
        answer = await collect(events)

    assert answer.content == "one two three four"
    assert [attempt.outcome for attempt in request.trace.attempts] == ["PROVIDER_UNREACHABLE", "ok"]


async def test_a_whole_answer_survives_a_line_that_drops_half_way(opening: Opening) -> None:
    pool = await opening(BREAKING + GOOD)
    request = ask(pool)

    answer = await pool.infer(request)

    assert answer.content == "one two three four"
    broken, good = request.trace.attempts
    assert (broken.outcome, good.outcome) == ("STREAM_BROKEN", "ok")
    assert broken.usage.estimated, "what the broken call consumed is not forgotten"
    assert broken.usage.output > 0


async def test_a_stream_that_has_spoken_never_changes_its_voice(opening: Opening) -> None:
    pool = await opening(BREAKING + GOOD)
    request = ask(pool, whole=False)
    heard: list[str] = []

    with pytest.raises(StreamBroken):
        async with pool.open(request) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    heard.append(event.text)

    assert heard
    assert "never to be heard in full".startswith("".join(heard))
    assert len(request.trace.attempts) == 1
    assert counted(pool, "STREAM_BROKEN") == 1


async def test_when_all_fail_each_is_named(opening: Opening) -> None:
    pool = await opening(DOWN + BREAKING)

    with pytest.raises(AllProvidersFailed) as failure:
        await pool.infer(ask(pool))

    assert failure.value.details == {"down": "PROVIDER_UNREACHABLE", "breaking": "STREAM_BROKEN"}


async def test_leaving_the_block_ends_the_call_and_loses_no_usage(opening: Opening) -> None:
    pool = await opening(GOOD)
    clock = asyncio.get_running_loop().time
    request = ask(pool, whole=False)

    async with pool.open(request) as events:
        async for event in events:
            if isinstance(event, TextDelta) and event.text == "two ":
                break
    left = clock()

    [attempt] = request.trace.attempts
    assert (attempt.outcome, attempt.ended) == ("CANCELLED", left)
    assert attempt.usage.estimated
    assert attempt.usage.output == 2, "eight characters were said: about two tokens"
    assert counted(pool, "CANCELLED") == 1


async def test_a_caller_who_is_cancelled_takes_the_call_along(opening: Opening) -> None:
    pool = await opening(STALLING)
    request = ask(pool)
    caller = asyncio.create_task(pool.infer(request))
    await asyncio.sleep(1)

    caller.cancel()
    await asyncio.wait([caller])

    assert caller.cancelled()
    [attempt] = request.trace.attempts
    assert (attempt.outcome, attempt.ended) == ("CANCELLED", asyncio.get_running_loop().time())


@pytest.mark.parametrize("whole", [True, False])
async def test_the_deadline_is_exact(opening: Opening, whole: bool) -> None:
    pool = await opening(STALLING)
    request = ask(pool, within=3, whole=whole)

    with pytest.raises(DeadlineExceeded):
        async with pool.open(request) as events:
            await collect(events)

    assert asyncio.get_running_loop().time() == request.deadline
    assert [attempt.outcome for attempt in request.trace.attempts] == ["DEADLINE_EXCEEDED"]
    assert counted(pool, "DEADLINE_EXCEEDED") == 1


async def test_the_deadline_also_ends_a_caller_who_listens_too_slowly(opening: Opening) -> None:
    pool = await opening(GOOD)
    request = ask(pool, within=3, whole=False)

    with pytest.raises(DeadlineExceeded):
        async with pool.open(request) as events:
            async for _ in events:
                await asyncio.sleep(2)

    assert asyncio.get_running_loop().time() == request.deadline


async def test_a_deployment_has_its_own_time_limit_and_the_next_one_gets_the_rest(opening: Opening) -> None:
    pool = await opening(STALLING.replace("[providers.sim]", "timeout_ms = 2000\n[providers.sim]") + GOOD)
    begin = asyncio.get_running_loop().time()
    request = ask(pool)

    answer = await pool.infer(request)

    assert answer.provider == "good"
    assert request.trace.attempts[0].outcome == ProviderTimeout.reason
    assert asyncio.get_running_loop().time() - begin == pytest.approx(2.25)


async def test_the_fallback_is_asked_only_when_the_others_have_failed_and_the_answer_says_so(opening: Opening) -> None:
    pool = await opening(FALLBACK + DOWN)
    request = ask(pool)

    answer = await pool.infer(request)

    decision = Decision.of(request.trace)
    assert answer.content == "a stand-in speaks"
    assert " ".join(voice.kind for voice in decision.voices) == "first retry retry failover"
    assert (decision.degraded, decision.why) == (True, "fallback")


async def test_the_fallback_answers_when_nobody_has_spoken_shortly_before_the_deadline(opening: Opening) -> None:
    pool = await opening(STALLING + FALLBACK)
    begin = asyncio.get_running_loop().time()

    answer = await pool.infer(ask(pool, within=3))

    assert answer.provider == "last"
    assert asyncio.get_running_loop().time() - begin == pytest.approx(2.9)


async def test_a_fallback_that_is_asked_for_by_name_is_no_makeshift(opening: Opening) -> None:
    pool = await opening(GOOD + FALLBACK)
    request = ask(pool, model="sim/stand-in")

    await pool.infer(request)

    assert not Decision.of(request.trace).degraded


async def test_a_named_model_is_never_replaced_by_another_model(opening: Opening) -> None:
    pool = await opening(DOWN + GOOD + FALLBACK)

    with pytest.raises(ProviderUnreachable):
        await pool.infer(ask(pool, model="sim/mute"))


async def test_a_task_goes_to_the_deployments_that_take_it(opening: Opening) -> None:
    only = GOOD.replace("[providers.sim]", 'tasks = ["poem"]\n[providers.sim]')
    pool = await opening(only + FALLBACK.replace("fallback = true", 'tasks = ["chat"]'))

    assert (await pool.infer(ask(pool, task="poem"))).provider == "good"
    assert (await pool.infer(ask(pool, task="chat"))).provider == "last"


async def test_an_answer_that_does_not_fit_its_schema_is_none_and_the_decision_says_so(opening: Opening) -> None:
    toml = '[tasks.x]\nschema.type = "object"\n' + GOOD + FALLBACK.replace('"a stand-in speaks"', "'{}'")
    request = ask(pool := await opening(toml), task="x", whole=False)

    async with pool.open(request) as events:
        heard = [event async for event in events]

    assert [event.text for event in heard if isinstance(event, TextDelta)] == ["{}"]
    wrong, right = Decision.of(request.trace).voices
    assert (wrong.outcome, wrong.why, right.outcome) == ("INVALID_OUTPUT", "good: the answer is not JSON", "ok")


async def test_a_strategy_that_is_not_built_yet_is_answered_by_fastest_and_says_so(opening: Opening) -> None:
    pool = await opening(GOOD)
    request = replace(ask(pool), strategy="Judge")

    await pool.infer(request)

    decision = Decision.of(request.trace)
    assert (decision.strategy, decision.why) == ("fastest", "judge is not built yet: answered by fastest")


async def test_a_name_that_is_not_known_is_refused_with_the_nearest_one(opening: Opening) -> None:
    pool = await opening(GOOD)

    with pytest.raises(UnknownTask, match='did you mean "chat"'):
        await pool.infer(ask(pool, task="chatt"))
    with pytest.raises(UnknownModel, match='did you mean "sim/parrot"'):
        await pool.infer(ask(pool, model="sim/parot"))


async def test_nothing_asked_for_is_dropped_in_silence(opening: Opening) -> None:
    pool = await opening(GOOD.replace("[providers.sim]", "max_tokens = 2\n[providers.sim]"))
    request = replace(ask(pool, whole=False), sampling=Sampling(max_tokens=100))

    async with pool.open(request) as events:
        heard = [event async for event in events]

    assert isinstance(heard[1], Warning)
    assert heard[1].code == "max_tokens_reduced"
    assert isinstance(heard[-1], Finished)
    assert heard[-1].reason == "length"
    assert Decision.of(request.trace).warnings == (heard[1],)


async def test_every_request_is_counted_once_however_it_ends(opening: Opening) -> None:
    pool = await opening(GOOD)
    for _ in range(3):
        await pool.infer(ask(pool))
    with pytest.raises(DeadlineExceeded):
        await pool.infer(ask(pool, within=0.01))
    with pytest.raises(UnknownTask):
        await pool.infer(ask(pool, task="nonsense"))

    counts = {
        (sample.labels["task"], sample.labels["outcome"]): sample.value
        for family in pool.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "llm_pool_requests_total"
    }
    assert counts == {("chat", "ok"): 3, ("chat", "DEADLINE_EXCEEDED"): 1, ("unknown", "UNKNOWN_TASK"): 1}
    assert pool.metrics.registry.get_sample_value("llm_pool_in_flight_requests") == 0
