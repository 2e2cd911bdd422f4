"""The fault proxy does to the bytes what its faults say, and nothing is left of it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import zlib
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.fakes.proxy import Corrupt, Cut, Delay, Drip, FaultProxy, Hold, Replace, Reset
from tests.running import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.real_time

ASK = b"POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"
OTHER = b"GET /other HTTP/1.1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"

Line: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Target:
    """Answers every request with the same bytes, on connections that it keeps."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head + await reader.readexactly(4 if b"Length: 4" in head else 0))
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@contextlib.asynccontextmanager
async def proxied(seed: int = 0) -> AsyncIterator[tuple[Target, FaultProxy]]:
    target = Target()
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with FaultProxy(f"http://127.0.0.1:{port}", seed=seed) as proxy:
            yield target, proxy
            await until(lambda: (proxy.open, target.open) == (0, 0))
    finally:
        server.close()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def connected(proxy: FaultProxy) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def asked(line: Line, request: bytes = ASK, *, want: int = len(ANSWER)) -> bytes:
    """So many bytes of the answer, or all until the other side ends the connection."""
    reader, writer = line
    writer.write(request)
    got = b""
    async with asyncio.timeout(5):
        while len(got) < want and (more := await reader.read(want - len(got))):
            got += more
    return got


async def test_without_a_fault_bytes_pass_on_one_connection_after_the_other_way_round() -> None:
    async with proxied() as (target, proxy), connected(proxy) as line:
        assert [await asked(line), await asked(line, OTHER)] == [ANSWER, ANSWER]
        assert target.requests == [ASK, OTHER]
        assert proxy.asked == [b"POST /a HTTP/1.1", b"GET /other HTTP/1.1"]
        assert (proxy.open, proxy.ever, proxy.spoiled, target.open) == (1, 1, 0, 1)
        line[1].close()


async def test_a_body_that_comes_later_belongs_to_its_request() -> None:
    async with proxied() as (target, proxy), connected(proxy) as line:
        line[1].write(ASK[:-2])
        await asyncio.sleep(0.02)
        assert await asked(line, ASK[-2:]) == ANSWER
        assert (target.requests, len(proxy.asked)) == ([ASK], 1)
        line[1].close()


@pytest.mark.parametrize("at", [0, 1, 17, len(ANSWER) - 1])
async def test_an_answer_is_cut_after_just_so_many_bytes(at: int) -> None:
    async with proxied() as (target, proxy), connected(proxy) as line:
        proxy.fault = Cut(at=at)
        assert await asked(line) == ANSWER[:at]
        assert len(target.requests) == (1 if at else 0)
        assert proxy.spoiled == 1


@pytest.mark.parametrize("at", [0, 17])
async def test_a_connection_is_reset_after_just_so_many_bytes(at: int) -> None:
    async with proxied() as (_, proxy), connected(proxy) as line:
        proxy.fault = Reset(at=at)
        line[1].write(ASK)
        if at:
            assert await line[0].readexactly(at) == ANSWER[:at]
        with pytest.raises(ConnectionResetError):
            await line[0].read(1)


async def test_a_reset_may_wait_for_a_connection_that_has_served_before() -> None:
    async with proxied() as (_, proxy), connected(proxy) as line:
        proxy.fault = Reset(reused=True)
        assert await asked(line) == ANSWER
        with pytest.raises(ConnectionResetError):
            await asked(line)
        assert (proxy.spoiled, len(proxy.asked)) == (1, 2)


async def test_a_held_request_gets_no_word_and_ends_with_its_client() -> None:
    async with proxied() as (target, proxy), connected(proxy) as line:
        proxy.fault = Hold()
        line[1].write(ASK)
        await until(lambda: proxy.spoiled == 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await line[0].read(1)
        assert (proxy.open, target.requests) == (1, [])


@pytest.mark.parametrize("fault", [Delay(before=0.05), Delay(first=0.05), Drip(every=0.01, at=len(ANSWER) - 5)])
async def test_what_is_late_comes_whole_and_not_before_its_time(fault: Delay | Drip) -> None:
    async with proxied() as (target, proxy), connected(proxy) as line:
        proxy.fault = fault
        began = asyncio.get_running_loop().time()
        assert await asked(line) == ANSWER
        assert asyncio.get_running_loop().time() - began >= 0.039  # four drops wait for the one before
        assert target.requests == [ASK]
        line[1].close()


async def test_what_drips_comes_at_once_up_to_there() -> None:
    async with proxied() as (_, proxy), connected(proxy) as line:
        proxy.fault = Drip(every=60.0, at=20)
        assert await asked(line, want=21) == ANSWER[:21]


async def test_one_byte_of_those_named_is_corrupted_and_the_seed_says_which() -> None:
    async def differing(seed: int) -> list[tuple[int, int]]:
        async with proxied(seed) as (_, proxy), connected(proxy) as line:
            proxy.fault = Corrupt(at=40, among=8)
            got = await asked(line)
            line[1].close()
            return [(index, byte) for index, byte in enumerate(got) if byte != ANSWER[index]]

    seen = [await differing(seed) for seed in (1, 1, 2, 3, 4)]
    assert all(len(places) == 1 and 40 <= places[0][0] < 48 for places in seen)
    assert seen[0] == seen[1]
    assert len({place for places in seen for place, _ in places}) > 1


async def test_another_answer_is_given_and_the_connection_kept() -> None:
    async with proxied() as (target, proxy), connected(proxy) as line:
        proxy.fault = Replace(429, b"busy", {"Retry-After": "1"})
        said = b"HTTP/1.1 429 Replaced\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy"
        assert await asked(line, want=len(said)) == said
        proxy.fault = None
        assert await asked(line) == ANSWER
        assert target.requests == [ASK]
        line[1].close()


async def test_an_endless_body_goes_on_as_long_as_the_client() -> None:
    async with proxied() as (_, proxy), connected(proxy) as line:
        proxy.fault = Replace(body=b"ab" * 50_000, endless=True)
        got = await asked(line, want=1_000_000)
        assert got.count(b"ab") > 490_000
        assert b"Connection: close\r\n\r\nabab" in got[:100]


def test_a_bomb_is_gzip_of_so_many_zeros() -> None:
    bomb = Replace.bomb(20)
    assert b"Content-Encoding: gzip" in bomb.head()
    assert b"Encoding" not in Replace.bomb(20, hidden=True).head()
    assert len(bomb.body) < 40_000
    zeros = zlib.decompressobj(wbits=31).decompress(bomb.body)
    assert (len(zeros), zeros.count(0)) == (20 << 20, 20 << 20)
    assert bomb.body[:2] == gzip.compress(b"")[:2]


async def test_faults_are_for_some_paths_in_an_order_and_for_a_share() -> None:
    async with proxied(seed=1) as (_, proxy), connected(proxy) as line:
        proxy.only, proxy.fault = b"/a", Replace(500)
        proxy.script.extend([None, Replace(501), None])
        assert [await status(line, request) for request in (ASK, OTHER, ASK, ASK, ASK)] == [200, 200, 501, 200, 500]
        proxy.share = 0.5
        failed = [await status(line, ASK) for _ in range(100)].count(500)
        assert 30 < failed < 70
        assert proxy.spoiled == 2 + failed
        assert (proxy.asked_for(b"/a"), proxy.asked_for(b"/other")) == (104, 1)
        line[1].close()


async def status(line: Line, request: bytes) -> int:
    line[1].write(request)
    head = await line[0].readuntil(b"\r\n\r\n")
    await line[0].readexactly(int(head.split(b"Content-Length: ")[1]))
    return int(head.split()[1])


async def test_nobody_listens_while_it_refuses_and_it_comes_back_where_it_was() -> None:
    async with proxied() as (_, proxy):
        url = proxy.url
        async with connected(proxy) as line:
            assert await asked(line) == ANSWER
            async with proxy.refusing():
                assert await line[0].read(1) == b""
                assert proxy.open == 0
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        assert proxy.url == url
        async with connected(proxy) as line:
            assert await asked(line) == ANSWER


async def test_a_target_that_is_not_there_ends_the_connection() -> None:
    async with FaultProxy("http://127.0.0.1:1") as proxy, connected(proxy) as line:
        assert await asked(line) == b""
        await until(lambda: proxy.open == 0)
