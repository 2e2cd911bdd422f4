"""Whatever fails, the official clients raise the class that they have for it, ask again where that may help, and read
nothing of what the provider had to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson
import pytest

from tests.edges.hostile.clients import clients_of, repeats
from tests.edges.hostile.faulty import failing
from tests.edges.hostile.rich import CANARY
from tests.edges.hostile.watching import log_of
from tests.running import ONE, running_pool

if TYPE_CHECKING:
    from tests.edges.hostile.clients import Raised

pytestmark = pytest.mark.real_time

# One call of a client is one of a provider.
POOL = """
[server]
max_body_bytes = 65536

[qos]
max_retries = 0
hedge = "off"

[breaker]
enabled = false
"""
IMPATIENT = POOL.replace("[qos]", "[qos]\ndefault_deadline_ms = 30\nmax_deadline_ms = 30")
RETRIES = 2


class Expected(NamedTuple):
    """`code` as OpenAI's clients read it. `again`: whether a client that may asks as often as it may."""

    status: int
    code: str
    again: bool


REFUSED = Expected(400, "refused_by_provider", again=False)
MISCONFIGURED = Expected(502, "provider_misconfigured", again=False)
OVERLOADED = Expected(502, "provider_overloaded", again=True)
GARBLED = Expected(502, "provider_garbled", again=True)

# What a provider does -> what comes of it at every door, whole or before the first word of a stream.
PROVIDERS = {
    "400": REFUSED,
    "401": MISCONFIGURED,
    "403": MISCONFIGURED,
    "404": MISCONFIGURED,
    "408": Expected(502, "provider_timeout", again=True),
    "413": REFUSED,
    "422": REFUSED,
    "429": Expected(502, "rate_limit_exceeded", again=True),
    "500": Expected(502, "provider_failed", again=True),
    "503": OVERLOADED,
    "529": OVERLOADED,
    "garbage": GARBLED,
    "a list": GARBLED,
    "a page": GARBLED,
    "a redirect": Expected(502, "provider_refused", again=True),
    "cut": Expected(502, "provider_unreachable", again=True),
    "too long": Expected(400, "context_length_exceeded", again=False),
    "amid": Expected(502, "stream_broken", again=True),
}
# Where it comes to something else, by the provider, or of vectors.
UNREACHABLE = PROVIDERS["cut"]
BUT = {
    ("anthropic", "413"): PROVIDERS["too long"],  # what it says of a question that is too long, too
    # Where nothing comes that is an event, or a line, the answer has ended before it began.
    **dict.fromkeys((("anthropic", "garbage"), ("anthropic", "a list"), ("anthropic", "a page")), UNREACHABLE),
    ("ollama", "garbage"): UNREACHABLE,
    ("vectors", "amid"): UNREACHABLE,  # which do not come in pieces
}

# The classes of errors, and what Anthropic calls them.
OPENAI = {
    400: "BadRequestError",
    404: "NotFoundError",
    413: "APIStatusError",
    415: "APIStatusError",
    502: "InternalServerError",
    504: "InternalServerError",
}
ANTHROPIC = {
    400: ("BadRequestError", "invalid_request_error"),
    404: ("NotFoundError", "not_found_error"),
    413: ("ContentTooLargeError", "request_too_large"),
    415: ("APIStatusError", "invalid_request_error"),
    502: ("InternalServerError", "api_error"),
    504: ("GatewayTimeoutError", "timeout_error"),
}

WAYS = [("chat", False), ("chat", True), ("responses", False), ("responses", True), ("embeddings", False)]
WAYS += [("messages", False), ("messages", True)]
CASES = [
    (driver, door, stream)
    for driver in ("openai", "anthropic", "ollama")
    for door, stream in WAYS
    if (driver, door) != ("anthropic", "embeddings")  # which it has not
]
MARKS = ("once", "again")
USUAL = {("chat", False), ("embeddings", False), ("messages", True)}  # of all providers; the others with --thorough


def said_so(raised: Raised, door: str, expected: Expected) -> bool:
    if door == "messages":
        return (raised.kind, raised.type) == ANTHROPIC[expected.status] and raised.status == expected.status
    kind = "invalid_request_error" if expected.status < 500 else "server_error"
    told = (raised.kind, raised.status, raised.code, raised.type)
    return told == (OPENAI[expected.status], expected.status, expected.code, kind)


@pytest.mark.parametrize(("driver", "door", "stream"), CASES)
async def test_what_a_provider_does_raises_its_class(
    driver: str, door: str, stream: bool, subtests: pytest.Subtests, pytestconfig: pytest.Config
) -> None:
    if driver != "openai" and (door, stream) not in USUAL and not pytestconfig.getoption("--thorough"):
        return  # the door is the same, and so is what this provider does
    async with failing(driver, MARKS) as table, running_pool(POOL + table) as up, clients_of(up) as clients:
        with log_of(up) as log:
            for fault, usual in PROVIDERS.items():
                expected = BUT.get(("vectors" if door == "embeddings" else driver, fault), usual)
                with subtests.test(fault=fault):
                    once = await clients.failing(door, f"{driver}/{fault}@once", stream=stream, retries=0)
                    again = await clients.failing(door, f"{driver}/{fault}@again", stream=stream, retries=RETRIES)
                    if stream and fault == "amid":
                        # It has begun: the client is told in the stream, and nobody may say it all again.
                        kind, code = ("APIStatusError", None) if door == "messages" else ("APIError", "stream_broken")
                        assert (once.kind, once.code, once.calls, again.calls) == (kind, code, 1, 1)
                    else:
                        assert said_so(once, door, expected), once
                        assert (once.calls, again.calls) == (1, 1 + RETRIES * expected.again)
                    if fault == "429":  # as long as the provider has said to wait
                        assert once.headers["retry-after"] == "7"
                    assert not repeats(once)
                    assert not repeats(again)
    assert not [line for line in log if CANARY in line or "unexpected error" in line]


@pytest.mark.parametrize(("door", "stream"), WAYS)
async def test_a_provider_that_says_nothing_raises_the_class_of_what_takes_too_long(door: str, stream: bool) -> None:
    expected = Expected(504, "deadline_exceeded", again=True)
    async with failing("openai", MARKS) as table, running_pool(IMPATIENT + table) as up, clients_of(up) as clients:
        raised = await clients.failing(door, "openai/silence@once", stream=stream, retries=RETRIES)
    assert said_so(raised, door, expected), raised
    assert raised.calls == 1 + RETRIES


# --- What the caller does ---------------------------------------------------------------------------------------

_SAID = [{"role": "user", "content": CANARY}]
QUESTIONS: dict[str, dict[str, object]] = {
    "chat": {"messages": _SAID},
    "responses": {"input": CANARY},
    "embeddings": {"input": CANARY},
    "messages": {"messages": _SAID, "max_tokens": 16},
}
JSON = "application/json"

# What of a sound body is changed, its media type, and what comes of it. None: the name is left out.
CALLERS: dict[str, tuple[dict[str, object], str, Expected]] = {
    "an unknown model": ({"model": "sim/none"}, JSON, Expected(404, "model_not_found", again=False)),
    "a field of another type": ({"model": [CANARY]}, JSON, Expected(400, "invalid_request", again=False)),
    "no model": ({"model": None}, JSON, Expected(400, "invalid_request", again=False)),
    "too large": ({"user": "x" * 70_000}, JSON, Expected(413, "request_too_large", again=False)),
    "another media type": ({}, "text/plain", Expected(415, "unsupported_media_type", again=False)),
}


@pytest.mark.parametrize(("door", "stream"), WAYS)
async def test_what_a_caller_does_raises_its_class(door: str, stream: bool, subtests: pytest.Subtests) -> None:
    async with running_pool(POOL + ONE) as up, clients_of(up) as clients:
        sound = {"model": "sim/m", **QUESTIONS[door], **({"stream": True} if stream else {})}
        with log_of(up) as log:
            for name, (change, media, expected) in CALLERS.items():
                body = {key: value for key, value in {**sound, **change}.items() if value is not None}
                with subtests.test(case=name):
                    raised = await clients.refused(door, orjson.dumps(body), media=media, retries=RETRIES)
                    assert said_so(raised, door, expected), raised
                    assert raised.calls == 1
            broken = await clients.refused(door, orjson.dumps(sound)[:-1], media=JSON, retries=RETRIES)
            assert said_so(broken, door, Expected(400, "invalid_request", again=False)), broken
    assert not [line for line in log if CANARY in line or "unexpected error" in line]
