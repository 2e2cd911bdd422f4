"""Equal questions get equal answers over HTTP and gRPC: fields, streams and errors, case by case."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from llm_pool.v1 import pool_service_pb2 as pb
from tests.edges.both import Said, grpc_stream, grpc_whole, http_stream, http_whole
from tests.running import running_pool

pytestmark = pytest.mark.real_time

POOL = """
[qos]
max_retries = 0
max_deadline_ms = 60_000

[breaker]
enabled = false

[ensemble.strategy_by_task]
weighed = "judge"

[tasks.chat]
prompt = ""

[[providers]]
name = "plain"
driver = "sim"
model = "m"
tasks = ["chat", "weighed"]
sim.answers = ["One two three four five."]

[[providers]]
name = "echo"
driver = "sim"
provider = "echo"
model = "m"
tasks = ["echoing"]

[[providers]]
name = "short"
driver = "sim"
provider = "short"
model = "m"
max_tokens = 3
tasks = ["short"]
sim.answers = ["One two three four five."]

# Asked first with as good as certainty: a weight is a share of the traffic.
[[providers]]
name = "failing"
driver = "sim"
provider = "failing"
model = "m"
weight = 1_000_000.0
tasks = ["failing-over", "falling-back", "all-failing"]
sim.fail_rate = 1.0
sim.fail_with = "overloaded"

[[providers]]
name = "second"
driver = "sim"
provider = "second"
model = "m"
weight = 0.000_001
tasks = ["failing-over"]
sim.answers = ["The second one answers."]

[[providers]]
name = "also-failing"
driver = "sim"
provider = "also"
model = "m"
weight = 0.000_001
tasks = ["all-failing"]
sim.fail_rate = 1.0

[[providers]]
name = "stand-in"
driver = "sim"
provider = "standing"
model = "in"
fallback = true
tasks = ["falling-back"]
sim.answers = ["A stand-in answers."]

[[providers]]
name = "breaking"
driver = "sim"
provider = "breaking"
model = "m"
tasks = ["breaking"]
sim.answers = ["One two three four five."]
sim.break_rate = 1.0

[[providers]]
name = "silent"
driver = "sim"
provider = "silent"
model = "m"
tasks = ["silent"]
sim.stall_rate = 1.0
"""

LONG = "x" * 17 * 1024
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Grüße, 世界 👋"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "And\nnow?"},
]


@dataclass(frozen=True)
class Case:
    """A question, and some of what both edges must say to it. A field `a.b` is `b` of `a`."""

    ask: dict[str, Any]
    told: dict[str, Any] = field(default_factory=dict)
    refused: int = 0  # the HTTP status; 0: answered
    code: str = ""
    says: str = ""  # part of the error's message
    streams: bool = True  # whether a stream ends as the whole answer does; where it breaks is drawn anew each time


def hi(**more: Any) -> dict[str, Any]:
    return {"prompt": "hi", **more}


def wrong(name: str, **more: Any) -> Case:
    """A question that is refused for one of its fields."""
    return Case(hi(**more), refused=400, code="INVALID_REQUEST", says=name)


CASES = {
    "a prompt": Case(
        hi(),
        {
            "content": "One two three four five.",
            "winner_model": "sim/m",
            "strategy_used": "fastest",
            "finish_reason": "stop",
            "from_cache": False,
            "usage.input_tokens": 1,
            "usage.output_tokens": 5,
            "usage.estimated": False,
            "decision.winner": "plain",
            "decision.degraded": False,
            "decision.why": "",
        },
    ),
    "messages": Case({"messages": MESSAGES, "task": "echoing"}, {"winner_model": "echo/m", "usage.input_tokens": 8}),
    "a model": Case(hi(model="second/m"), {"content": "The second one answers.", "winner_model": "second/m"}),
    "a fallback by name": Case(hi(model="standing/in"), {"decision.degraded": False, "decision.winner": "stand-in"}),
    "a strategy as model": Case(hi(model="pool/Fastest"), {"strategy_used": "fastest", "winner_model": "sim/m"}),
    "a task as model": Case(hi(model="task/falling-back"), {"decision.winner": "stand-in"}),
    "a strategy": Case(hi(strategy="FASTEST"), {"strategy_used": "fastest", "decision.why": ""}),
    "a strategy that is not built": Case(
        hi(strategy="Voting"),
        {"strategy_used": "fastest", "decision.why": "voting is not built yet: answered by fastest"},
    ),
    "a task whose strategy is not built": Case(
        hi(task="weighed"), {"decision.why": "judge is not built yet: answered by fastest"}
    ),
    "an answer cut": Case(
        hi(max_tokens=2), {"content": "One two ", "finish_reason": "length", "usage.output_tokens": 2}
    ),
    "fewer tokens than asked for": Case(
        hi(task="short", max_tokens=100), {"content": "One two three ", "finish_reason": "length"}
    ),
    "temperature": Case(hi(temperature=0.0), {"finish_reason": "stop"}),
    "temperature at its most": Case(hi(temperature=2.0), {"finish_reason": "stop"}),
    "a project and meta": Case(hi(project_id="p", meta={"user": "ann", "k": ""}), {"finish_reason": "stop"}),
    "the caller's tenant": Case(hi(tenant_id="default"), {"finish_reason": "stop"}),
    "a request id": Case(hi(request_id="a-1.b:2_C"), {"request_id": "a-1.b:2_C"}),
    "a fallback": Case(
        hi(task="falling-back"),
        {"content": "A stand-in answers.", "decision.degraded": True, "decision.why": "fallback"},
    ),
    "failover": Case(hi(task="failing-over"), {"content": "The second one answers.", "decision.winner": "second"}),
    "a deadline": Case(hi(deadline_ms=60_000), {"finish_reason": "stop"}),
    # Refused.
    "one provider failing": Case(hi(model="failing/m"), refused=502, code="PROVIDER_OVERLOADED"),
    "all failing": Case(hi(task="all-failing"), refused=502, code="ALL_PROVIDERS_FAILED", says="all 2 providers"),
    "breaking": Case(hi(task="breaking"), refused=502, code="STREAM_BROKEN", streams=False),
    "too late": Case(hi(task="silent", deadline_ms=60), refused=504, code="DEADLINE_EXCEEDED"),
    "no prompt": Case({"task": "chat"}, refused=400, code="INVALID_REQUEST", says="either prompt or messages"),
    "two prompts": Case(hi(messages=MESSAGES), refused=400, code="INVALID_REQUEST", says="either prompt or messages"),
    "an empty prompt": Case({"prompt": " \n"}, refused=400, code="INVALID_REQUEST", says="must not be empty"),
    "a long prompt": Case({"prompt": LONG}, refused=400, code="INVALID_REQUEST", says="at most 16384 bytes"),
    "a role of its own": Case(
        {"messages": [{"role": "robot", "content": "hi"}]}, refused=400, code="INVALID_REQUEST", says="messages.0.role"
    ),
    "no tokens": wrong("max_tokens", max_tokens=0),
    "far too many tokens": wrong("max_tokens", max_tokens=10_000_001),
    "too hot": wrong("temperature", temperature=3.0),
    "no time": wrong("deadline_ms", deadline_ms=0),
    "too much time": wrong("deadline_ms: must be at most 60000", deadline_ms=60_001),
    "a long task": wrong("task", task="t" * 257),
    "much meta": wrong("meta", meta={str(index): "" for index in range(33)}),
    "two strategies": wrong("strategy", model="pool/fastest", strategy="judge"),
    "an unknown strategy": wrong('did you mean "fastest"', strategy="fastet"),
    "a malformed request id": wrong("request_id", request_id="a\nb"),
    "two strategies, one of them odd": wrong("strategy: ", model="pool/fastest", strategy="a\nb"),
    "a long request id": wrong("request_id", request_id="a" * 129),
    "several wrong": wrong("temperature", max_tokens=0, temperature=3.0),
    "an unknown task": Case(
        hi(task="weighd\n"), refused=404, code="UNKNOWN_TASK", says='unknown task "weighd?"; did you mean "weighed"?'
    ),
    "an unknown model": Case(hi(model="second/mm"), refused=404, code="UNKNOWN_MODEL", says='did you mean "second/m"?'),
    "a model like nothing": Case(hi(model="世" * 200), refused=404, code="UNKNOWN_MODEL", says="unknown model"),
    "an unknown alias": Case(hi(model="pool/fastet"), refused=404, code="UNKNOWN_MODEL", says="pool/fastest"),
    "another tenant": Case(hi(tenant_id="other"), refused=403, code="FORBIDDEN", says="tenant_id"),
}


async def test_equal_questions_get_equal_answers(subtests: pytest.Subtests) -> None:
    """Each question four times: whole and as a stream, over HTTP and over gRPC."""
    async with running_pool(POOL) as up:
        for name, case in CASES.items():
            with subtests.test(case=name):
                by_http, by_grpc = await http_whole(up, case.ask), await grpc_whole(up, case.ask)
                assert by_http == by_grpc
                matches(case, by_http)
            with subtests.test(case=name, stream=True):
                by_http, by_grpc = await http_stream(up, case.ask), await grpc_stream(up, case.ask)
                if case.streams:
                    assert by_http == by_grpc
                    matches(case, added_up(by_http))
        await up.lines(4 * len(CASES))


async def test_a_stream_that_breaks_says_the_same_until_then_and_after() -> None:
    """What was said is there on both; the error then is the last event over HTTP and the status over gRPC."""
    async with running_pool(POOL) as up:
        ask = hi(task="breaking")
        by_http, by_grpc = await http_stream(up, ask), await grpc_stream(up, ask)
    names = [name for name, _ in by_http.events]
    assert names[:2] == ["started", "text"]
    assert "finished" not in names
    assert by_http.error is not None
    assert by_http.error["code"] == "STREAM_BROKEN"
    assert [name for name, _ in by_grpc.events][:2] == ["started", "text"]
    assert by_http.error == by_grpc.error


async def test_both_edges_list_the_same_models() -> None:
    """The listing has the models, the strategies that are built, and the tasks."""
    async with running_pool(POOL) as up:
        async with up.http.get("/v1/models") as response:
            by_http = [(each["id"], each["owned_by"]) for each in (await response.json())["data"]]
        by_grpc = [(each.id, each.owned_by) for each in (await up.stub.ListModels(pb.ListModelsRequest())).models]
    assert by_http == by_grpc
    assert {("sim/m", "sim"), ("pool/fastest", "pool"), ("task/weighed", "task")} <= set(by_http)


async def test_a_prompt_that_is_empty_is_refused_by_both() -> None:
    """An empty string is no string in protobuf, so the words differ here, and only here."""
    async with running_pool(POOL) as up:
        for said in (await http_whole(up, {"prompt": ""}), await grpc_whole(up, {"prompt": ""})):
            assert said.error is not None
            assert (said.status, said.error["code"]) == (400, "INVALID_REQUEST")
            assert said.error["details"] == {"field": "prompt"}


def matches(case: Case, said: Said) -> None:
    assert said.status == (case.refused or 200)
    if case.refused:
        assert said.error is not None
        assert said.error["code"] == case.code
        assert case.says in said.error["message"]
        return
    assert said.answer is not None
    for path, value in case.told.items():
        found: Any = said.answer
        for step in path.split("."):
            found = found[step]
        assert (path, found) == (path, value)


def added_up(said: Said) -> Said:
    """A stream as the whole answer that it is."""
    if said.error is not None:
        return said
    names = [name for name, _ in said.events]
    assert (names[0], names[-1]) == ("started", "finished")
    assert names.count("started") == names.count("finished") == 1
    (_, started), *_, (_, finished) = said.events
    assert started["model"] == finished["winner_model"]
    content = "".join(data["text"] for name, data in said.events if name == "text")
    return Said(answer={**finished, "content": content}, status=said.status)
