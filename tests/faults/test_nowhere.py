"""An address that leads nowhere: a name that nobody knows, or a port where no connection is ever accepted."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.fakes.ollama import FakeOllama, Script
from tests.faults.calling import KINDS, OK
from tests.faults.rig import SECOND, configured, play
from tests.running import running_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

pytestmark = pytest.mark.faults


@contextmanager
def unknown() -> Iterator[str]:
    """No name below `.invalid` ever exists (RFC 2606)."""
    yield "http://models.invalid:11434"


@contextmanager
def unaccepted() -> Iterator[str]:
    """Where as many wait to be accepted as may, Linux drops the first packet of the next one."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        waiting = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("nowhere", [unknown, unaccepted])
def test_alone_it_is_told_in_time(nowhere: Callable[[], AbstractContextManager[str]]) -> None:
    async def story() -> None:
        with nowhere() as url:
            async with running_pool(configured(url), settled=False) as up:
                for ask in KINDS.values():
                    async with asyncio.timeout(2):  # the limit is 0.3 s, of a retry, too
                        call = await ask(up, "chat")
                    assert call.outcome in {"PROVIDER_UNREACHABLE", "PROVIDER_UNAVAILABLE"}
                    assert (call.status, call.spoke) in {(502, False), (503, False)}

    play(story())


@pytest.mark.parametrize("nowhere", [unknown, unaccepted])
def test_another_provider_answers_for_it(nowhere: Callable[[], AbstractContextManager[str]]) -> None:
    """From the very first call on, when nothing is known of its health yet."""

    async def story() -> None:
        fake = FakeOllama({"llama3:latest": Script(answer=SECOND)})
        with nowhere() as url:
            async with fake, running_pool(configured(url, fake.url), settled=False) as up:
                for _ in range(3):
                    calls = await asyncio.gather(*(ask(up, "chat") for ask in KINDS.values()))
                    assert [(call.outcome, call.text) for call in calls] == [(OK, SECOND)] * len(KINDS)

    play(story())
