"""An answer with a schema is the same over HTTP and gRPC, whole and as a stream: one piece that fits, or one error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.edges.both import Said, grpc_stream, grpc_whole, http_stream, http_whole
from tests.running import running_pool

pytestmark = pytest.mark.real_time

GOOD = '{"word": "yes"}'
POOL = """
[tasks.fits]
schema = { type = "object", required = ["word"] }
providers = ["good"]

[qos]
max_retries = 0
[breaker]
enabled = false

[tasks.wrapped]
schema = { type = "object", required = ["word"] }
providers = ["wrapping"]

[tasks.mended]
schema = { type = "object", required = ["word"] }
providers = ["sloppy"]

[tasks.fails-over]
schema = { type = "object", required = ["word"] }
providers = ["wordy", "good"]

[tasks.falls-back]
schema = { type = "object", required = ["word"] }
providers = ["wordy"]

[tasks.never]
schema = { required = ["word"], properties.word.type = "string", additionalProperties = false }
providers = ["wordy", "other"]

[tasks.one-never]
schema = { required = ["word"], properties.word.type = "string", additionalProperties = false }
providers = ["other"]

[tasks.mixed]
schema = { required = ["word"], properties.word.type = "string", additionalProperties = false }
providers = ["wordy", "down"]

[tasks.unreachable]
schema = { type = "object", required = ["word"] }
providers = ["down", "down-too"]

[tasks.slow]
schema = { type = "object", required = ["word"] }
providers = ["slow"]

[tasks.judge]
providers = ["judging"]

[[providers]]
name = "good"
driver = "sim"
model = "m"
sim.answers = ['{"word": "yes"}']

[[providers]]
name = "wrapping"
driver = "sim"
model = "wrapping"
sim.answers = ['''
Here you are:
```json
{"word": "yes"}
```
''']

[[providers]]
name = "sloppy"
driver = "sim"
model = "sloppy"
sim.answers = ["{word: 'yes',}"]

[[providers]]
name = "wordy"
driver = "sim"
model = "wordy"
weight = 1_000_000
sim.answers = ["CANARY, I would say."]

[[providers]]
name = "other"
driver = "sim"
model = "other"
sim.answers = ['{"CANARY": "CANARY"}']

[[providers]]
name = "down"
driver = "sim"
model = "down"
sim.fail_rate = 1.0

[[providers]]
name = "down-too"
driver = "sim"
model = "down-too"
sim.fail_rate = 1.0

[[providers]]
name = "slow"
driver = "sim"
model = "slow"
sim.answers = ['{"word": "yes"}']
sim.per_token.median_ms = 10_000

[[providers]]
name = "judging"
driver = "sim"
model = "judging"
sim.answers = ['{"winner_id": "b", "confidence": 1, "reason": "it fits"}']

[[providers]]
name = "stand-in"
driver = "sim"
model = "stand-in"
fallback = true
tasks = ["falls-back"]
sim.answers = ['{"word": "yes"}']
"""

CANDIDATES = '{"question": "?", "candidates": [{"id": "a"}, {"id": "b"}]}'

# What is asked, and some of what both edges answer; a field `a.b` is `b` of `a`.
ANSWERED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as it is": ({"task": "fits"}, {"content": GOOD, "decision.why": "", "finish_reason": "stop"}),
    "unwrapped": (
        {"task": "wrapped"},
        {"content": GOOD, "decision.why": "the answer of wrapping was unwrapped"},
    ),
    "mended": ({"task": "mended"}, {"content": '{"word":"yes"}', "decision.why": "the answer of sloppy was mended"}),
    "failed over": (
        {"task": "fails-over"},
        {
            "content": GOOD,
            "decision.winner": "good",
            "decision.voices.0.outcome": "INVALID_OUTPUT",
            "decision.voices.0.why": "wordy: the answer is not JSON",
            "decision.voices.0.usage.output_tokens": 4,
            "decision.voices.1.outcome": "ok",
        },
    ),
    "fallen back": ({"task": "falls-back"}, {"content": GOOD, "decision.degraded": True, "decision.why": "fallback"}),
    "a task as model": ({"model": "task/fits"}, {"content": GOOD}),
    "a model by name": ({"task": "never", "model": "sim/m"}, {"content": GOOD}),
    "chosen of plain text": ({"task": "judge", "prompt": "a or b?"}, {"decision.winner": "judging"}),
    "chosen of candidates": ({"task": "judge", "prompt": CANDIDATES}, {"decision.winner": "judging"}),
}

# What is asked, the status, the code, part of the message, and all details.
REFUSED: dict[str, tuple[dict[str, Any], int, str, str, dict[str, str]]] = {
    "nobody fits": (
        {"task": "never"},
        502,
        "INVALID_OUTPUT",
        "no answer fits the schema of task never",
        {"wordy": "INVALID_OUTPUT", "other": "INVALID_OUTPUT"},
    ),
    "the only one does not fit": (
        {"task": "one-never"},
        502,
        "INVALID_OUTPUT",
        "other: the answer does not fit its schema: ",
        {},
    ),
    "one does not fit, one is down": (
        {"task": "mixed"},
        502,
        "INVALID_OUTPUT",
        "no answer fits",
        {"wordy": "INVALID_OUTPUT", "down": "PROVIDER_UNREACHABLE"},
    ),
    "all are down": (
        {"task": "unreachable"},
        502,
        "ALL_PROVIDERS_FAILED",
        "all 2 providers failed",
        {"down": "PROVIDER_UNREACHABLE", "down-too": "PROVIDER_UNREACHABLE"},
    ),
    "cut off": ({"task": "fits", "max_tokens": 1}, 502, "INVALID_OUTPUT", "cut off at max_tokens", {}),
    "too late": ({"task": "slow", "deadline_ms": 60}, 504, "DEADLINE_EXCEEDED", "deadline", {}),
    "chosen who is no candidate": (
        {"task": "judge", "prompt": '["x"]'},
        502,
        "INVALID_OUTPUT",
        "judging: the answer does not fit its schema: winner_id: is none of the values that it may have",
        {},
    ),
    "candidates without an id": (
        {"task": "judge", "prompt": '[{"id": "a"}, {"name": "b"}]'},
        400,
        "INVALID_REQUEST",
        "prompt: candidate 2 has no id",
        {"field": "prompt"},
    ),
    "candidates with one id": (
        {"task": "judge", "prompt": '{"candidates": [{"id": 1}, {"id": "1"}]}'},
        400,
        "INVALID_REQUEST",
        'prompt: two candidates have the id "1"',
        {"field": "prompt"},
    ),
    "candidates with half a letter": (
        {"task": "judge", "prompt": '[{"id": "\\ud800"}]'},
        400,
        "INVALID_REQUEST",
        "prompt: the id of candidate 1 must be",
        {"field": "prompt"},
    ),
    "candidates in messages": (
        {"task": "judge", "messages": [{"role": "user", "content": "[1]"}]},
        400,
        "INVALID_REQUEST",
        "prompt: candidate 1 is no object",
        {"field": "prompt"},
    ),
}


async def test_equal_answers_whole_and_as_a_stream_of_one_piece(subtests: pytest.Subtests) -> None:
    async with running_pool(POOL) as up:
        for name, (more, told) in ANSWERED.items():
            ask = {"prompt": "hi", **more}
            with subtests.test(case=name):
                by_http = await http_whole(up, ask)
                assert by_http == await grpc_whole(up, ask)
                assert found(by_http, told) == told
            with subtests.test(case=name, stream=True):
                streamed = await http_stream(up, ask)
                assert streamed == await grpc_stream(up, ask)
                assert [event for event, _ in streamed.events] == ["started", "text", "finished"]
                (_, started), (_, text), (_, finished) = streamed.events
                json.loads(text["text"])
                assert found(Said(answer={**finished, "content": text["text"]}), told) == told
                assert started["model"] == finished["winner_model"]
        await up.lines(4 * len(ANSWERED))


async def test_equal_errors_before_anything_is_said(subtests: pytest.Subtests) -> None:
    """A stream of such a task fails as a whole answer does, with a status: it has not begun."""
    async with running_pool(POOL) as up:
        for name, (more, status, code, says, details) in REFUSED.items():
            ask = ({} if "messages" in more else {"prompt": "hi"}) | more
            for asking in (http_whole, grpc_whole, http_stream, grpc_stream):
                with subtests.test(case=name, asking=asking.__name__):
                    said = await asking(up, ask)
                    assert said.error is not None
                    assert (said.status, said.error["code"], said.events) == (status, code, ())
                    assert says in said.error["message"]
                    assert said.error["details"] == details
                    assert "CANARY" not in str(said.error)
        lines = await up.lines(4 * len(REFUSED))
        assert "CANARY" not in str(lines), "what a model said is not logged either"


def found(said: Said, told: dict[str, Any]) -> dict[str, Any]:
    """What the answer says in these places."""
    assert said.answer is not None
    values = {}
    for path in told:
        value: Any = said.answer
        for step in path.split("."):
            value = value[int(step) if step.isdigit() else step]
        values[path] = value
    return values
