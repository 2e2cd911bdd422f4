"""An answer that is cut at any byte is never taken for a whole one: in memory at every byte, on sockets at some."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, TypeAlias, cast

import orjson
import pytest
from aiohttp import ClientPayloadError

from llm_pool.app import running
from llm_pool.core.errors import ProviderError, ProviderUnreachable, StreamBroken
from llm_pool.core.types import Finished, ReasoningDelta, Started, TextDelta, Usage
from llm_pool.providers.http import Streamed
from llm_pool.providers.ollama.wire_in import Decoder
from llm_pool.providers.translating import Asked
from tests.fakes.ollama import FakeOllama, Script, _steps
from tests.fakes.proxy import Cut, FaultProxy
from tests.running import loaded, raw, until
from tests.scripted import request as asking

if TYPE_CHECKING:
    import aiohttp

    from llm_pool.core.types import Event
    from llm_pool.pool import Pool
    from llm_pool.providers.http import Wire

# What was heard, and what ended it; None where all was well.
Heard: TypeAlias = "tuple[list[Event], type[ProviderError] | None]"

# --- In memory ------------------------------------------------------------------------------------------------------


@dataclass
class Body:
    """Of a response: these pieces, then its end, or the error of one that ended too early for its framing."""

    pieces: list[bytes]
    error: Exception | None = None

    async def readany(self) -> bytes:
        if not self.pieces and self.error is not None:
            raise self.error
        return self.pieces.pop(0) if self.pieces else b""

    def at_eof(self) -> bool:
        return not self.pieces


class Canned:
    """A `Wire` without a socket."""

    who = "Ollama"
    driver = "ollama"

    def __init__(self, body: Body) -> None:
        self._body = body
        self.left = 0

    async def open(self, asked: Asked) -> aiohttp.ClientResponse:
        response = SimpleNamespace(content=self._body, connection=None, release=self._leave, close=self._leave)
        return cast("aiohttp.ClientResponse", response)

    def _leave(self) -> None:
        self.left += 1


async def heard(*pieces: bytes, error: Exception | None = None) -> Heard:
    """What comes of a body in these pieces."""
    wire = Canned(Body([piece for piece in pieces if piece], error))
    events: list[Event] = []
    try:
        async with Streamed(cast("Wire", wire), Asked("/api/chat", {}, "llama3"), Decoder("Ollama")) as answer:
            async for event in answer:
                events.append(event)
    except ProviderError as caught:
        return events, type(caught)
    finally:
        assert wire.left == 1
    return events, None


CUT_OFF = ClientPayloadError("the body is not complete")  # as aiohttp says of chunks, or of a Content-Length

# As a server sends it, and as short as one can say thoughts, text, sequences of two to four bytes and both line ends.
LONG = b"".join(
    step
    for step in _steps({"model": "llama3", "messages": [1]}, Script(answer="Hé, 日本 🙂 you", thinking="Hm, é?"))
    if isinstance(step, bytes)
)
SHORT = (
    '{"message":{"thinking":"né"}}\n{"message":{"content":"Hé🙂"}}\r\n{"message":{"content":" ü"}}\n'
    '{"done":true,"eval_count":2,"prompt_eval_count":3}\n'
).encode()
SAID: list[Event] = [
    Started("llama3", "ollama"),
    ReasoningDelta("né", provider="ollama"),
    TextDelta("Hé🙂"),
    TextDelta(" ü"),
    Finished("stop", Usage(input=3, output=2)),
]


async def test_whole_answers_are_heard_as_they_are_meant() -> None:
    assert await heard(SHORT) == (SAID, None)
    events, error = await heard(LONG)
    assert error is None
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Hé, 日本 🙂 you"
    assert len(events) == LONG.count(b"\n") + 1


@pytest.mark.parametrize("wire", [LONG, SHORT], ids=["as a server sends it", "short"])
@pytest.mark.parametrize("error", [None, CUT_OFF], ids=["the body ends", "its framing breaks"])
async def test_an_answer_cut_at_any_byte_is_flagged(wire: bytes, error: Exception | None) -> None:
    """But for the line end of the last line. What came before is what was said, and no half of anything."""
    whole, _ = await heard(wire)
    for cut in range(len(wire)):
        events, flagged = await heard(wire[:cut], error=error)
        complete = lines_in(wire[:cut], unended=error is None)
        if complete == wire.count(b"\n"):
            assert (cut, events, flagged) == (len(wire) - 1, whole, None)
        else:
            assert flagged is (StreamBroken if complete else ProviderUnreachable), cut
            assert events == (whole[: complete + 1] if complete else []), cut
            assert not any(isinstance(event, Finished) for event in events)


async def test_where_the_pieces_of_a_cut_answer_meet_makes_no_difference() -> None:
    """Every cut, in every chunking of two pieces."""
    for cut in range(len(SHORT) + 1):
        once = await heard(SHORT[:cut])
        for meet in range(1, cut):
            assert await heard(SHORT[:meet], SHORT[meet:cut]) == once, (cut, meet)


def lines_in(wire: bytes, *, unended: bool) -> int:
    """How many JSON objects stand there; `unended`: also one that lacks its line end."""
    *ended, last = wire.split(b"\n")
    with suppress(orjson.JSONDecodeError):
        orjson.loads(last)
        return len(ended) + unended
    return len(ended)


# --- On sockets -----------------------------------------------------------------------------------------------------

OFFSETS = 64
ANSWER = "Hé, 日本 🙂 how are you all?"
POOL = """
[qos]
max_retries = 0
hedge = "off"
[breaker]
min_calls = 1_000
window_size = 1_000
[tasks.chat]
prompt = ""
[[providers]]
name = "one"
driver = "ollama"
model = "llama3"
base_url = "{}"
"""


@pytest.mark.faults
@pytest.mark.real_time
async def test_an_answer_cut_on_its_way_is_flagged_and_counted_as_far_as_it_came() -> None:
    """Head, framing and body alike; and the next answer, on whatever connection, is whole."""
    random = Random(7)
    scripts = {"llama3:latest": Script(answer=ANSWER, thinking="Hm, é?")}
    async with FakeOllama(scripts) as fake, FaultProxy(fake.url) as proxy:
        proxy.only = b"/api/chat"
        end = await last_byte(proxy)
        async with running(loaded(POOL.format(proxy.url)), environ={}, random=Random(0)) as pool:
            await pool.health.settled(within=5)
            for offset in sorted(random.sample(range(end + 1), OFFSETS)):
                for whole in (False, True):
                    proxy.fault = Cut(at=offset)
                    await broken_off(pool, whole=whole)
                proxy.fault = None
                assert (await pool.infer(asking())).content == ANSWER
        await until(lambda: (proxy.open, fake.open_streams) == (0, 0))
        assert proxy.spoiled == 2 * OFFSETS


async def last_byte(proxy: FaultProxy) -> int:
    """Where, in all the bytes of an answer, its last JSON object ends."""
    async with raw(proxy.url.removeprefix("http://")) as bare:
        await bare.post(b'{"model":"llama3","messages":[{"role":"user","content":"hi"}]}', path=b"/api/chat")
        answer = await bare.reader.readuntil(b"\r\n0\r\n\r\n")
    return answer.rindex(b"}")


async def broken_off(pool: Pool, *, whole: bool) -> None:
    asked = asking(whole=whole)
    said: list[Event] = []
    with pytest.raises((StreamBroken, ProviderUnreachable)) as caught:
        async with pool.open(asked) as events:
            async for event in events:
                said.append(event)
    [attempt] = asked.trace.attempts
    assert attempt.outcome == caught.value.reason
    assert not any(isinstance(event, Finished) for event in said)
    text = "".join(event.text for event in said if isinstance(event, TextDelta))
    assert ANSWER.startswith(text)
    if caught.type is StreamBroken:
        assert bool(said) is not whole
        assert attempt.usage.estimated
        assert attempt.usage.output > 0
    else:
        assert (said, attempt.usage) == ([], Usage())
