"""The contract of all providers with a wire: whatever goes wrong on it is an error of ours, and nothing stays open."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson
import pytest

from llm_pool.core.errors import (
    ProviderError,
    ProviderGarbled,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderRefused,
    ProviderUnreachable,
    RequestRefused,
    StreamBroken,
)
from llm_pool.core.types import Event, Finished, TextDelta
from tests.fakes.proxy import Cut, Delay, Drip, Hold, Replace, Reset
from tests.providers.contract import TEXT, Bench, Said, Wired
from tests.providers.rigs.every import over
from tests.running import until

if TYPE_CHECKING:
    from llm_pool.core.types import Request

pytestmark = pytest.mark.real_time

CANARY = "canary-7f3a of the prompt"
AT_ONCE = 0.25  # seconds
LITTLE = 8 * 1024 * 1024  # bytes that an endless answer may take of our memory


async def nothing_open(bench: Bench, within: float = AT_ONCE) -> None:
    await until(lambda: bench.open_answers() == 0, within=within)


# --- Leaving ----------------------------------------------------------------------------------------------------


@over("wire")
async def test_leaving_in_the_middle_closes_the_connection_at_once(rig: Wired) -> None:
    async with rig.bench() as bench:
        bench.say(Said(stall=2))
        async with bench.provider.chat(bench.request()) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
            assert bench.open_answers() == 1
        await until(lambda: (bench.open_answers(), bench.proxy.open) == (0, 0), within=AT_ONCE)


@over("wire")
@pytest.mark.parametrize("stall", [-1, 0, 2])
async def test_who_is_cancelled_while_it_waits_closes_the_connection_at_once(rig: Wired, stall: int) -> None:
    async with rig.bench() as bench:
        bench.say(Said(stall=stall))
        asking = asyncio.create_task(bench.ask())
        await until(lambda: bench.open_answers() == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: (bench.open_answers(), bench.proxy.open) == (0, 0), within=AT_ONCE)


@over("wire")
async def test_whole_answers_have_one_connection_after_the_other(rig: Wired) -> None:
    async with rig.bench() as bench:
        for whole in (False, True, False):
            assert (await bench.ask(bench.request(whole=whole))).content == TEXT
        assert bench.proxy.ever == 1


# --- Breaking ---------------------------------------------------------------------------------------------------


@over("wire")
async def test_an_answer_that_is_cut_is_never_an_answer(rig: Wired) -> None:
    """At many bytes of it, head included, until one comes whole; and the next one is whole."""
    async with rig.bench() as bench:
        bench.say(Said(reasoning="Hm. "))
        cuts = 0
        for at in range(0, 100_000, 41):
            bench.proxy.fault = (Cut if at % 2 else Reset)(at=at)
            said, error = await heard(bench)
            if error is None:
                assert isinstance(said[-1], Finished)
                break
            cuts += 1
            assert not any(isinstance(event, Finished) for event in said)
            assert TEXT.startswith("".join(event.text for event in said if isinstance(event, TextDelta)))
            assert bool(said) is isinstance(error, StreamBroken)
        assert cuts > 10
        bench.proxy.fault = None
        assert (await bench.ask()).content == TEXT
        await nothing_open(bench)


async def heard(bench: Bench) -> tuple[list[Event], ProviderError | None]:
    """What came, and what broke it."""
    said: list[Event] = []
    try:
        async with bench.provider.chat(bench.request()) as events:
            async for event in events:
                said.append(event)
    except (StreamBroken, ProviderUnreachable) as error:
        return said, error
    return said, None


@over("wire")
async def test_bytes_that_come_one_by_one_are_the_same_answer(rig: Wired) -> None:
    """Characters and frames are cut at every byte, and waited for."""
    async with rig.bench() as bench:
        bench.say(Said(reasoning="Hm, é 🙂. "))
        expected = await bench.ask()
        bench.proxy.fault = Drip(every=0.0)
        assert await bench.ask() == expected
        bench.proxy.fault = Delay(before=0.01, first=0.01)
        assert await bench.ask() == expected


@over("wire")
async def test_who_never_answers_is_waited_for_only_as_long_as_the_caller_does(rig: Wired) -> None:
    async with rig.bench() as bench:
        bench.proxy.fault = Hold()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await bench.ask()
        await until(lambda: bench.proxy.open == 0, within=AT_ONCE)


@over("wire")
async def test_nobody_there_is_unreachable(rig: Wired) -> None:
    async with rig.bench() as bench:
        async with bench.proxy.refusing():
            with pytest.raises(ProviderUnreachable) as caught:
                await bench.ask()
        assert "127.0.0.1" not in caught.value.message, "the address is not the callers' to know"


@over("wire")
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("wrong", ["an error", "garbage"])
async def test_words_are_not_lost_which_came_in_one_packet_with_what_is_wrong(
    rig: Wired, whole: bool, wrong: str
) -> None:
    said = [orjson.dumps(each) for each in rig.saying(TEXT)]
    body = rig.framed(*said, rig.error(CANARY) if wrong == "an error" else b"{]")
    async with rig.bench() as bench:
        bench.proxy.fault = Replace(200, body, {"Content-Type": rig.filler.kind})
        seen: list[Event] = []
        with pytest.raises(StreamBroken if wrong == "an error" else ProviderGarbled) as caught:
            async with bench.provider.chat(bench.request(whole=whole)) as events:
                async for event in events:
                    seen.append(event)
        assert [event.text for event in seen if isinstance(event, TextDelta)] == [TEXT]
        assert "canary" not in caught.value.message


# --- Statuses ---------------------------------------------------------------------------------------------------


@over("wire")
@pytest.mark.parametrize(
    ("status", "kind", "wait"),
    [
        (400, RequestRefused, None),
        (401, ProviderMisconfigured, None),
        (403, ProviderMisconfigured, None),
        (404, ProviderMisconfigured, None),
        (422, RequestRefused, None),
        (429, ProviderLimited, 2.0),
        (500, ProviderError, None),
        (502, ProviderError, None),
        (503, ProviderOverloaded, 2.0),
    ],
)
async def test_each_status_is_its_error_and_no_word_of_its_body_is_repeated(
    rig: Wired, status: int, kind: type[ProviderError], wait: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig.bench() as bench:
        for body in (rig.error(CANARY), f"<html>{CANARY}".encode(), b""):
            bench.proxy.fault = Replace(status, body, {"Retry-After": "2", "Content-Type": "application/json"})
            with pytest.raises(ProviderError) as caught:
                await bench.ask()
            assert (type(caught.value), caught.value.retry_after) == (kind, wait)
            assert "canary" not in f"{caught.value.message} {caught.value.details} {caplog.text}"
        bench.proxy.fault = None
        assert (await bench.ask()).content == TEXT


@over("wire")
async def test_of_the_body_of_an_error_only_a_little_is_read(rig: Wired) -> None:
    async with rig.bench() as bench:
        bench.proxy.fault = Replace(429, b"x" * 60_000, {"Retry-After": "2"}, endless=True)
        assert await most_memory(bench, bench.request(), kind=ProviderLimited) < LITTLE // 8
        await until(lambda: bench.proxy.open == 0, within=AT_ONCE)


@over("wire")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(rig: Wired, status: int) -> None:
    async with rig.bench() as bench:
        bench.proxy.fault = Replace(status, b"", {"Location": f"{bench.proxy.url}/elsewhere"})
        with pytest.raises(ProviderRefused, match="redirect"):
            await bench.ask()
        assert len(bench.proxy.asked) == 1


# --- Encoding and size ------------------------------------------------------------------------------------------


@over("wire")
async def test_nothing_compressed_is_asked_for_and_what_is_compressed_is_refused(rig: Wired) -> None:
    async with rig.bench() as bench:
        await bench.ask()
        assert bench.sent()[0].headers["accept-encoding"] == "identity"
        kind = {"Content-Type": rig.filler.kind, "Content-Encoding": "gzip"}
        bench.proxy.fault = Replace(200, gzip.compress(rig.filler.line), kind)
        with pytest.raises(ProviderGarbled, match="compressed"):
            await bench.ask()


@over("wire")
@pytest.mark.parametrize("what", ["answer", "line"])
@pytest.mark.parametrize("whole", [False, True])
async def test_an_endless_answer_or_line_is_refused_and_takes_little_memory(rig: Wired, what: str, whole: bool) -> None:
    async with rig.bench() as bench:
        body = rig.filler.line if what == "answer" else rig.filler.without_end
        bench.proxy.fault = Replace(200, body, {"Content-Type": rig.filler.kind}, endless=True)
        assert await most_memory(bench, bench.request(whole=whole), refused=f"{what} longer than") < LITTLE
        await until(lambda: bench.proxy.open == 0, within=AT_ONCE)


async def most_memory(
    bench: Bench, asked: Request, *, kind: type[ProviderError] = ProviderGarbled, refused: str | None = None
) -> int:
    """Bytes at once while this is asked, which fails like this."""
    tracemalloc.start()
    try:
        with pytest.raises(kind, match=refused):
            await bench.ask(asked)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@over("wire", "embed")
async def test_endless_vectors_are_refused_and_no_status_is_taken_for_them(rig: Wired) -> None:
    async with rig.bench() as bench:
        bench.proxy.only = b""
        bench.proxy.fault = Replace(200, b" " * 60_000, {"Content-Type": "application/json"}, endless=True)
        with pytest.raises(ProviderGarbled, match="longer than"):
            await bench.embed("a")
        bench.proxy.fault = Replace(503, rig.error(CANARY), {"Retry-After": "2"})
        with pytest.raises(ProviderOverloaded) as caught:
            await bench.embed("a")
        assert "canary" not in caught.value.message
        bench.proxy.fault = Cut(at=150)
        with pytest.raises(ProviderUnreachable):
            await bench.embed("a")


# --- Garbage ----------------------------------------------------------------------------------------------------


@over("wire")
@pytest.mark.parametrize(
    "body", [b"", b"<!doctype html>\n<title>Welcome</title>\n", b"{]\n\n", b"data: {]\n\n", b"null\n\n", b"data: 1\n\n"]
)
async def test_what_is_no_answer_is_never_taken_for_one(rig: Wired, body: bytes) -> None:
    async with rig.bench() as bench:
        bench.proxy.fault = Replace(200, body, {"Content-Type": rig.filler.kind})
        with pytest.raises(ProviderError) as caught:
            await bench.ask()
        assert "Welcome" not in caught.value.message


# --- Health -----------------------------------------------------------------------------------------------------


@over("wire")
async def test_health_never_raises_and_tells_well_from_ill(rig: Wired) -> None:
    async with rig.bench() as bench:
        assert (await bench.provider.health()).state == "healthy"
        bench.proxy.only = b""
        for fault in (Replace(500, rig.error(CANARY)), Replace(401, rig.error(CANARY)), Cut(at=0), Cut(at=60)):
            bench.proxy.fault = fault
            health = await bench.provider.health()
            assert (health.state, "canary" in health.why) == ("unhealthy", False)
        async with bench.proxy.refusing():
            assert (await bench.provider.health()).state == "unhealthy"
        bench.proxy.fault = None
        assert (await bench.provider.health()).state == "healthy"


@over("wire")
async def test_a_look_at_its_health_can_be_left(rig: Wired) -> None:
    async with rig.bench() as bench:
        bench.proxy.only = b""
        bench.proxy.fault = Hold()
        looking = asyncio.create_task(bench.provider.health())
        await until(lambda: bool(bench.proxy.asked))
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        assert looking.cancelled()
        await until(lambda: bench.proxy.open == 0, within=AT_ONCE)
