"""What a request left open is resolved from one configuration; a name that is unknown is refused with the nearest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import pytest

from llm_pool.config.catalog import Catalog
from llm_pool.config.prompts import parsed
from llm_pool.config.schemas import spec_of
from llm_pool.core.errors import InvalidRequest, PoolError, UnknownModel, UnknownTask
from llm_pool.core.trace import Decision
from llm_pool.core.types import Message, Sampling, Text, replace
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


# --- Prompts, schemas and defaults of tasks ---------------------------------------------------------------------

SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}
JUDGE = b"""+++
max_tokens = 64
temperature = 0.5
[ids]
one = "winner"
[schema]
required = ["winner"]
properties.winner = { type = ["string", "integer", "null"] }
+++
You judge. Keep {this}, %s, $x and {{ that }}.
"""
RANK = JUDGE.replace(b'one = "winner"', b'each = "winner"')
FREE = b"You answer {freely}."


async def with_prompts(
    asked: Request, *, tasks: dict[str, Any] | None = None, qos: dict[str, Any] | None = None, **prompts: bytes
) -> Request:
    """What is asked of the next stage where the tasks have these prompt files and tables."""
    settings = settings_of({"a": {}}, sections={"tasks": tasks or {}, "qos": qos or {}})
    catalog = Catalog.of(settings, {name: parsed(content, f"{name}.md") for name, content in prompts.items()})
    upstream = Scripted()
    async with Preparing(catalog, version="v7").open(asked, upstream):
        return upstream.requests[0]


def said(asked: Request) -> list[tuple[str, str]]:
    return [
        (message.role, "".join(part.text for part in message.parts if isinstance(part, Text)))
        for message in asked.messages
    ]


def talk(*turns: tuple[Any, str], task: str = "chat") -> Request:
    return replace(request(task=task), messages=tuple(Message.of(role, text) for role, text in turns))


JUDGES = "You judge. Keep {this}, %s, $x and {{ that }}."


async def test_the_prompt_of_a_task_stands_before_what_the_caller_says() -> None:
    ready = await with_prompts(request("Which?", task="judge"), judge=JUDGE)
    assert said(ready) == [("system", JUDGES), ("user", "Which?")]
    ready = await with_prompts(request("Hi"), chat=FREE)
    assert said(ready) == [("system", "You answer {freely}."), ("user", "Hi")]


@pytest.mark.parametrize(
    "prompt", ["{this}", "{this.__class__}", "%s %(x)s", "$x ${x}", "{{ that }}", "+++\nx\n+++", "\\1"]
)
async def test_what_the_caller_says_never_becomes_part_of_the_prompt(prompt: str) -> None:
    ready = await with_prompts(request(prompt, task="judge"), judge=JUDGE)
    assert said(ready) == [("system", JUDGES), ("user", prompt)]


async def test_a_caller_with_a_system_message_has_said_how_to_answer_freely_but_not_in_which_form() -> None:
    turns = (("system", "Be rude."), ("user", "Hi"))
    assert said(await with_prompts(talk(*turns), chat=FREE)) == list(turns)
    assert said(await with_prompts(talk(*turns, task="judge"), judge=JUDGE)) == [("system", JUDGES), *turns]


async def test_a_conversation_keeps_its_order_behind_the_prompt() -> None:
    turns = (("user", "Hi"), ("assistant", "Hello"), ("user", "Bye"))
    assert said(await with_prompts(talk(*turns), chat=FREE)) == [("system", "You answer {freely}."), *turns]


async def test_without_a_prompt_there_is_no_system_message() -> None:
    assert said(await with_prompts(request("Hi"))) == [("user", "Hi")]
    assert said(await with_prompts(request("Hi"), chat=b"+++\nmax_tokens = 5\n+++\n")) == [("user", "Hi")]


@pytest.mark.parametrize(
    ("asked", "table", "front", "holds"),
    [
        (Sampling(), {}, b"", (99, None)),
        (Sampling(), {}, b"max_tokens = 64\ntemperature = 0.5", (64, 0.5)),
        (Sampling(), {"max_tokens": 7}, b"max_tokens = 64\ntemperature = 0.5", (7, 0.5)),
        (Sampling(), {"temperature": 0.0}, b"max_tokens = 64\ntemperature = 0.5", (64, 0.0)),
        (Sampling(5), {"max_tokens": 7, "temperature": 1.0}, b"max_tokens = 64", (5, 1.0)),
        (Sampling(None, 0.0), {"max_tokens": 7, "temperature": 1.0}, b"", (7, 0.0)),
        (Sampling(5, 2.0), {"max_tokens": 7}, b"temperature = 0.5", (5, 2.0)),
    ],
)
async def test_the_request_wins_over_the_table_the_table_over_the_prompt_and_that_over_the_defaults(
    asked: Sampling, table: dict[str, Any], front: bytes, holds: tuple[int, float | None]
) -> None:
    question, prompt = replace(request(task="mine"), sampling=asked), b"+++\n" + front + b"\n+++\n"
    ready = await with_prompts(question, tasks={"mine": table}, qos={"max_tokens_default": 99}, mine=prompt)
    assert (ready.sampling.max_tokens, ready.sampling.temperature) == holds


@pytest.mark.parametrize("whole", [True, False])
async def test_an_answer_with_a_schema_is_whole(whole: bool) -> None:
    """What may turn out not to fit must not have been begun."""
    ready = await with_prompts(request(task="mine", whole=whole), tasks={"mine": {"schema": SCHEMA}})
    assert ready.whole
    assert ready.spec is not None
    assert ready.spec.schema == SCHEMA
    free = await with_prompts(request(whole=whole), tasks={"mine": {"schema": SCHEMA}})
    assert (free.whole, free.spec) == (whole, None)


ASKED = '{"question": "?", "candidates": [{"id": "a"}, {"id": 2}]}'


async def test_the_schema_is_narrowed_to_the_candidates_of_the_question() -> None:
    judging = (await with_prompts(request(ASKED, task="judge"), judge=JUDGE)).spec
    assert judging is not None
    assert [judging.problem({"winner": each}) == "" for each in ("a", 2, None, "2", "b")] == [True] * 3 + [False] * 2
    assert judging.schema["properties"]["winner"] == {"enum": ["a", 2, None]}
    ranking = (await with_prompts(request(ASKED, task="rank"), tasks={"rank": {}}, rank=RANK)).spec
    assert ranking is not None
    assert [ranking.problem({"winner": each}) == "" for each in ([2, "a"], ["a"], ["a", "a"])] == [True, False, False]


async def test_of_plain_text_the_schema_stays_as_it_is() -> None:
    spec = (await with_prompts(request("Is it a or 2?", task="judge"), judge=JUDGE)).spec
    assert spec is not None
    assert spec.problem({"winner": "anybody"}) == ""


async def test_what_the_user_said_last_is_the_question() -> None:
    turns = [("user", ASKED), ("assistant", "b"), ("user", '["x", "y"]'), ("assistant", ASKED), ("system", ASKED)]
    spec = (await with_prompts(talk(*turns, task="judge"), judge=JUDGE)).spec
    assert spec is not None
    assert spec.schema["properties"]["winner"] == {"enum": ["1", "2", None]}
    spec = (await with_prompts(talk(("system", ASKED), task="judge"), judge=JUDGE)).spec
    assert spec is not None
    assert "enum" not in spec.schema["properties"]["winner"]


@pytest.mark.parametrize("prompt", ['[{"text": "x"}]', '[{"id": 1}, {"id": "1"}]', '{"candidates": []}', "[1]"])
async def test_candidates_that_cannot_be_told_apart_are_the_callers_mistake(prompt: str) -> None:
    asked = request(prompt, task="judge")
    with pytest.raises(InvalidRequest) as caught:
        await with_prompts(asked, judge=JUDGE)
    assert caught.value.details == {"field": "prompt"}
    assert (await with_prompts(request(prompt), judge=JUDGE)).spec is None, "another task does not look at them"


async def test_the_narrowed_schema_of_one_question_is_not_that_of_the_next() -> None:
    settings = settings_of({"a": {}})
    gate, upstream = Preparing(Catalog.of(settings, {"judge": parsed(JUDGE, "j")}), version="v"), Scripted()
    for prompt in (ASKED, '["x"]', "plain"):
        async with gate.open(request(prompt, task="judge"), upstream):
            pass
    winners = [each.spec.schema["properties"]["winner"] for each in upstream.requests if each.spec]
    assert winners == [{"enum": ["a", 2, None]}, {"enum": ["1", None]}, {"type": ["string", "integer", "null"]}]


async def test_an_answer_that_lists_many_ids_has_room_for_them() -> None:
    """One that is cut off is none. Who says how long it may be has said so."""
    many = json.dumps([{"id": f"{number:036}"} for number in range(100)])
    tasks = {task: {"max_tokens": 100} for task in ("rank", "judge")}

    async def room(asked: Request) -> int | None:
        return (await with_prompts(asked, tasks=tasks, rank=RANK, judge=JUDGE)).sampling.max_tokens

    assert await room(request(ASKED, task="rank")) == 100 + (5 + 5) // 2
    assert await room(request(many, task="rank")) == 100 + 100 * 40 // 2
    assert await room(request(many, task="rank", max_tokens=7)) == 7
    assert await room(request(many, task="judge")) == 100


# --- Other protocols ------------------------------------------------------------------------------------------------


async def test_who_speaks_another_protocol_has_said_all_and_gets_neither_prompt_nor_limits() -> None:
    ready = await prepared(replace(request(model="sim/small"), verbatim=True))
    assert ready.sampling == Sampling()
    assert [message.role for message in ready.messages] == ["user"]


async def test_who_names_a_task_gets_its_limits_whatever_protocol_is_spoken() -> None:
    ready = await prepared(replace(request(model="task/judge"), verbatim=True))
    assert (ready.task, ready.model, ready.sampling.max_tokens) == ("judge", None, 77)
    assert not ready.verbatim


async def test_a_schema_of_the_caller_makes_the_answer_whole() -> None:
    asked = replace(request(whole=False), verbatim=True, spec=spec_of({"type": "object"}))
    assert (await prepared(asked)).whole


@pytest.mark.parametrize("operation", ["embed", "count"])
async def test_to_embed_and_to_count_name_a_model_and_are_no_task(operation: Literal["embed", "count"]) -> None:
    ready = await prepared(asked := replace(request(model="sim/small", task="judge"), operation=operation))
    assert (ready.task, ready.strategy, ready.whole, ready.messages) == (operation, "fastest", True, asked.messages)
    assert asked.trace.task == operation
    error = await refused(replace(request(), operation=operation))
    assert isinstance(error, InvalidRequest)
    assert error.field == "model"
    assert isinstance(await refused(replace(request(model="sim/smal"), operation=operation)), UnknownModel)


@pytest.mark.parametrize(
    ("alias", "model", "strategy", "task"),
    [
        ("gpt-4o", "sim/small", "fastest", "chat"),
        ("best", None, "fastest", "chat"),
        ("critic", None, "fastest", "judge"),
    ],
)
async def test_an_alias_stands_for_a_model_a_strategy_or_a_task(
    alias: str, model: str | None, strategy: str, task: str
) -> None:
    aliases = {"gpt-4o": "sim/small", "best": "pool/fastest", "critic": "task/judge"}
    settings = settings_of(TABLES, sections={**SECTIONS, "models": {"aliases": aliases}})
    upstream = Scripted()
    async with Preparing(Catalog.of(settings), version="v7").open(request(model=alias), upstream):
        ready = upstream.requests[0]
    assert (ready.model, ready.strategy, ready.task) == (model, strategy, task)
