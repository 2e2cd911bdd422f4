"""The clock that jumps: what a test may rely on."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import pytest
import uvloop

from tests.virtual import Deadlock, RealInputOutput, VirtualLoop, nothing_left_running

if TYPE_CHECKING:
    from collections.abc import Coroutine

_T = TypeVar("_T")


def run(coroutine: Coroutine[object, object, _T]) -> _T:
    """Run on a virtual loop of its own, for tests of what ends a loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


async def test_an_hour_takes_no_time_and_exactly_an_hour() -> None:
    loop, began = asyncio.get_running_loop(), time.monotonic()
    assert loop.time() == 0.0
    await asyncio.sleep(3)
    assert loop.time() == 3.0
    await asyncio.sleep(3597)
    assert loop.time() == 3600.0
    await asyncio.sleep(30 * 24 * 3600)  # beyond a day, the longest that asyncio itself would select for
    assert loop.time() == 3600.0 + 30 * 24 * 3600
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("delay", [1e-9, 0.1, 0.3, 1 / 3, 2.0**40])
async def test_a_sleep_ends_at_its_very_instant(delay: float) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(5):
        due = loop.time() + delay
        await asyncio.sleep(delay)
        assert loop.time() == due


async def test_timers_a_rounding_error_apart_stay_apart() -> None:
    loop = asyncio.get_running_loop()
    seen: list[tuple[str, float]] = []
    loop.call_at(0.1 + 0.2, lambda: seen.append(("later", loop.time())))
    loop.call_at(0.3, lambda: seen.append(("sooner", loop.time())))
    await asyncio.sleep(1)
    assert seen == [("sooner", 0.3), ("later", 0.1 + 0.2)]


async def test_what_is_ready_runs_before_the_clock_moves() -> None:
    loop = asyncio.get_running_loop()
    seen: list[float] = []

    async def busy() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
            seen.append(loop.time())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(busy())
        tasks.create_task(asyncio.sleep(1))
    assert seen == [0.0] * 1000


async def test_a_timeout_ends_a_wait_on_time() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2.5):
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() == 2.5


async def test_a_cancelled_timer_is_not_jumped_to() -> None:
    loop = asyncio.get_running_loop()
    loop.call_later(1, lambda: None).cancel()
    await asyncio.sleep(2)
    assert loop.time() == 2.0


async def test_the_clock_stands_while_a_thread_works() -> None:
    loop = asyncio.get_running_loop()
    timer = asyncio.create_task(asyncio.sleep(60))
    await asyncio.to_thread(time.sleep, 0.05)
    assert loop.time() == 0.0
    assert not timer.done()
    await timer
    assert loop.time() == 60.0


async def test_a_thread_that_is_no_longer_waited_for_does_not_hold_the_clock() -> None:
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(asyncio.to_thread(time.sleep, 0.05))
    await asyncio.sleep(0)
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    await asyncio.sleep(60)
    assert loop.time() == 60.0


def test_a_deadlock_is_an_error_that_names_the_task() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"(?s)nothing can ever happen.*forever"):
        run(forever())


def test_a_timer_at_infinity_is_no_way_out() -> None:
    with pytest.raises(Deadlock):
        run(asyncio.sleep(float("inf")))


def test_a_socket_is_refused_with_advice() -> None:
    async def connection() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            await asyncio.get_running_loop().sock_recv(ours, 1)

    with pytest.raises(RealInputOutput, match="real_time"):
        run(connection())


def test_a_socket_refused_behind_the_scenes_is_named_when_the_test_then_hangs() -> None:
    async def connection() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _loop, _context: None)
            loop.call_soon(lambda: loop.add_reader(ours, lambda: None))
            await asyncio.Event().wait()

    with pytest.raises(Deadlock) as caught:
        run(connection())
    assert isinstance(caught.value.__cause__, RealInputOutput)


async def test_a_task_left_behind_is_found_at_once_and_by_name() -> None:
    left = asyncio.create_task(asyncio.sleep(1), name="the forgotten one")
    with pytest.raises(AssertionError, match="the forgotten one"):
        await nothing_left_running()
    assert asyncio.get_running_loop().time() == 0.0
    left.cancel()
    await nothing_left_running()


@pytest.mark.real_time
async def test_a_task_that_is_about_to_end_on_a_real_loop_is_not_left_behind() -> None:
    ending = asyncio.create_task(asyncio.sleep(0.05))
    await nothing_left_running()
    assert ending.done()


async def test_a_test_runs_on_virtual_time(request: pytest.FixtureRequest) -> None:
    assert isinstance(asyncio.get_running_loop(), VirtualLoop)
    assert request.node.name == "test_a_test_runs_on_virtual_time"


@pytest.mark.real_time
async def test_a_test_of_real_things_runs_on_a_real_loop(request: pytest.FixtureRequest) -> None:
    """The one that serves; on asyncio's own, too, where the run is thorough."""
    loop = asyncio.get_running_loop()
    name = request.node.callspec.id if request.config.getoption("--thorough") else "uvloop"
    assert name in {"uvloop", "asyncio"}
    assert isinstance(loop, uvloop.Loop if name == "uvloop" else asyncio.SelectorEventLoop)
    assert not isinstance(loop, VirtualLoop)


@pytest.mark.real_time
async def test_sockets_work_there() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.read() == b"hello\n"
        writer.close()
        await writer.wait_closed()


@pytest.mark.real_time
def test_a_sync_test_has_no_loop_and_runs_once(request: pytest.FixtureRequest) -> None:
    assert request.node.name == "test_a_sync_test_has_no_loop_and_runs_once"
    assert not [name for name in request.fixturenames if "runner" in name or name == "_census"]
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
