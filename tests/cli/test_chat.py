"""`llm-pool chat`: a conversation that remembers, at a terminal and from a pipe."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.driving import Terminal, command, on_a_thread, pool
from tests.fakes.ollama import FakeOllama, Script
from tests.running import SIM, running_pool, wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.real_time

MODELS = """
[[providers]]
name = "kind"
driver = "ollama"
base_url = "{url}"
model = "kind"
tasks = ["talk"]
[[providers]]
name = "others"
driver = "ollama"
base_url = "{url}"
models = ["fails", "stalls"]
tasks = ["other"]
"""


@contextlib.asynccontextmanager
async def talking() -> AsyncIterator[tuple[FakeOllama, str]]:
    """A fake Ollama that keeps what it was asked, and a pool before it."""
    scripts = {
        "kind:latest": Script(answer="Hello friend."),
        "fails:latest": Script.failing(500),
        "stalls:latest": Script(answer="Once upon a time", stall_after=2),
    }
    async with FakeOllama(scripts) as fake, running_pool(MODELS.format(url=fake.url)) as up:
        yield fake, f"http://{up.http_address}"


@pytest.fixture
def both() -> Iterator[tuple[FakeOllama, str]]:
    with on_a_thread(talking) as both:
        yield both


def asked(fake: FakeOllama) -> list[list[str]]:
    """The conversations that came in, as the words of each."""
    bodies: list[Any] = [request.body for request in fake.asked()]
    return [[message["content"] for message in body["messages"]] for body in bodies]


def test_a_session_at_a_terminal(both: tuple[FakeOllama, str]) -> None:
    """It remembers; a failure and its question are forgotten; Ctrl-C stops an answer, what was said of it stays."""
    fake, url = both
    with Terminal("chat", "--task", "talk", "--system", "Be kind.", url=url) as person:
        person.shows("/help tells more.*> ")
        person.types("one\n")
        person.shows(r"Hello friend\.\r\n.*ollama/kind, \d\.\d s, 2 tokens.*\n.*> ")
        person.types("/model ollama/fails\n")
        person.shows("ollama/fails answers from now on.*\n.*> ")
        person.types("two\n")
        person.shows(r"llm-pool: [^\n]+PROVIDER[^\n]+\n.*> ")
        person.types("/model ollama/stalls\n")
        person.shows("answers from now on.*\n.*> ")
        person.types("three\n")
        person.shows("Once upon")
        wait(lambda: fake.open_streams == 1)
        person.types("\x03")
        person.shows("stopped; what was said so far stays.*\n.*> ")
        wait(lambda: fake.open_streams == 0)
        person.types("/model\nfour\n")
        person.shows(r"the pool decides.*Hello friend\..*tokens.*> ")
        person.types("/clear\nfive\n")
        person.shows(r"a new conversation.*Hello friend\..*tokens.*> ")
        person.types("/nonsense\n/help\n")
        person.shows("no such command: /nonsense.*/quit +leave.*> ")
        person.types("/quit\n")
        assert person.code() == 0
        assert "Traceback" not in person.shown
    one = ["Be kind.", "one"]
    conversations = asked(fake)
    assert conversations[0] == one
    assert [*one, "Hello friend.", "two"] in conversations
    three = [*one, "Hello friend.", "three"]
    assert conversations[-3:] == [three, [*three, "Once upon", "four"], ["Be kind.", "five"]]


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_leaving_at_the_prompt_is_a_good_end(key: str) -> None:
    with pool(SIM) as url, Terminal("chat", url=url) as person:
        person.shows("> ")
        person.types(key)
        assert person.code() == 0


def test_lines_of_a_pipe_are_questions(both: tuple[FakeOllama, str]) -> None:
    """The answers are all that is on standard output; the exit code is that of the last one that failed."""
    fake, url = both
    done = command("chat", "--task", "talk", url=url, stdin="one\n\n/model ollama/fails\ntwo\n/model\nthrée\n".encode())
    assert (done.code, done.out) == (1, "Hello friend.\nHello friend.\n")
    assert len(done.err.splitlines()) == 1
    assert asked(fake)[-1] == ["one", "Hello friend.", "thrée"]


def test_nobody_there_is_told_for_every_line() -> None:
    done = command("chat", stdin=b"one\n")
    assert (done.code, done.out) == (3, "")
    assert "is it running?" in done.err
