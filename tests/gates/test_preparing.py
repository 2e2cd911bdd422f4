"""What a request left open is resolved from one configuration; a name that is unknown is refused with the nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.config.catalog import Catalog
from llm_pool.core.errors import InvalidRequest, PoolError, UnknownModel, UnknownTask
from llm_pool.core.trace import Decision
from llm_pool.gates.preparing import Preparing
from tests.scripted import Scripted, pool_of, request, settings_of

if TYPE_CHECKING:
    from llm_pool.core.types import Request

TABLES: dict[str, dict[str, Any]] = {
    "a": {"model": "small", "tasks": ["chat", "judge"]},
    "b": {"provider": "any", "models": ["*"]},
}
SECTIONS: dict[str, dict[str, Any]] = {
    "qos": {"max_tokens_default": 77},
    "ensemble": {"strategy_by_task": {"judge": "Voting"}},
}


async def prepared(asked: Request) -> Request:
    """What is asked of the next stage."""
    settings = settings_of(TABLES, sections=SECTIONS)
    upstream = Scripted()
    async with Preparing(Catalog.of(settings), version="v7").open(asked, upstream):
        return upstream.requests[0]


async def refused(asked: Request) -> PoolError:
    with pytest.raises(PoolError) as caught:
        await prepared(asked)
    return caught.value


async def test_what_was_left_open_has_defaults() -> None:
    ready = await prepared(asked := request())
    assert (ready.task, ready.model, ready.strategy) == ("chat", None, "fastest")
    assert ready.sampling.max_tokens == 77
    assert (asked.trace.strategy, asked.trace.config_version) == ("fastest", "v7")
    assert ready.trace is asked.trace


async def test_what_was_asked_for_is_kept() -> None:
    ready = await prepared(request(task="judge", model="sim/small", strategy="FASTEST", max_tokens=5))
    assert (ready.task, ready.model, ready.strategy, ready.sampling.max_tokens) == ("judge", "sim/small", "fastest", 5)


async def test_a_request_is_not_changed_but_copied() -> None:
    await prepared(asked := request())
    assert (asked.strategy, asked.sampling.max_tokens) == (None, None)


@pytest.mark.parametrize("name", ["fastest", "Fastest", "FASTEST"])
async def test_a_strategy_may_be_named_as_the_model(name: str) -> None:
    ready = await prepared(request(model=f"pool/{name}"))
    assert (ready.model, ready.strategy) == (None, "fastest")
    ready = await prepared(request(model=f"pool/{name}", strategy="fastest"))
    assert (ready.model, ready.strategy) == (None, "fastest")


async def test_a_task_may_be_named_as_the_model() -> None:
    ready = await prepared(request(model="task/judge"))
    assert (ready.model, ready.task) == (None, "judge")


async def test_two_strategies_at_once_are_refused() -> None:
    error = await refused(request(model="pool/fastest", strategy="voting"))
    assert isinstance(error, InvalidRequest)
    assert error.field == "strategy"


@pytest.mark.parametrize("model", ["any/x", "any/org/x", "any/pool/x"])
async def test_a_wildcard_takes_any_name(model: str) -> None:
    assert (await prepared(request(model=model))).model == model


@pytest.mark.parametrize(
    ("model", "nearest"),
    [
        ("sim/smal", "sim/small"),
        ("SIM/SMALL", "sim/small"),
        ("pool/fastst", "pool/fastest"),
        ("small", "sim/small"),
    ],
)
async def test_an_unknown_model_is_refused_with_the_nearest(model: str, nearest: str) -> None:
    error = await refused(request(model=model))
    assert isinstance(error, UnknownModel)
    assert error.details == {"field": "model", "nearest": nearest}
    assert error.message == f'unknown model "{model}"; did you mean "{nearest}"?'


@pytest.mark.parametrize("model", ["", "/", "pool/", "any/", "any", "zzz"])
async def test_a_model_like_no_other_is_refused(model: str) -> None:
    assert isinstance(await refused(request(model=model)), UnknownModel)


@pytest.mark.parametrize("asked_by_model", [True, False])
async def test_an_unknown_task_is_refused_with_the_nearest(asked_by_model: bool) -> None:
    error = await refused(request(model="task/juge") if asked_by_model else request(task="juge"))
    assert isinstance(error, UnknownTask)
    assert error.message == 'unknown task "juge"; did you mean "judge"?'


async def test_an_unknown_strategy_is_refused_with_the_nearest() -> None:
    error = await refused(request(strategy="vote"))
    assert isinstance(error, InvalidRequest)
    assert error.message.endswith('unknown strategy "vote"; did you mean "voting"?')
    assert error.details == {"field": "strategy"}


async def test_what_is_refused_leaves_no_trace_of_being_resolved() -> None:
    asked = request(task="nothing of the kind")
    await refused(asked)
    assert (asked.trace.strategy, asked.trace.config_version) == ("", "")


@pytest.mark.parametrize("strategy", ["voting", "weighted", "consensus", "judge", "council", "cascade", "flow"])
async def test_a_strategy_that_is_not_built_yet_is_answered_by_fastest_and_says_so(strategy: str) -> None:
    for asked in (request(strategy=strategy.upper()), request(model=f"pool/{strategy}")):
        assert (await prepared(asked)).strategy == "fastest"
        decision = Decision.of(asked.trace)
        assert (decision.strategy, decision.degraded) == ("fastest", False)
        assert decision.why == f"{strategy} is not built yet: answered by fastest"


async def test_the_strategy_of_a_task_comes_from_the_configuration() -> None:
    for asked in (request(task="judge"), request(model="task/judge")):
        await prepared(asked)
        assert asked.trace.notes == ["voting is not built yet: answered by fastest"]


async def test_a_task_that_the_model_contradicts_is_refused() -> None:
    pool = pool_of({"a": Scripted()}, tables={"a": {"tasks": ["chat", "judge"]}})
    with pytest.raises(InvalidRequest, match="task: "):
        await pool.infer(request(task="judge", model="task/chat"))
