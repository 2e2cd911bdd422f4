"""A changed configuration is in force at once and costs nobody anything; one that cannot be is refused whole."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.app import Alive
from llm_pool.config.load import load
from llm_pool.core.tasks import Tasks
from llm_pool.reload import follow
from llm_pool.serve import refuse_unsafe
from tests.edges.both import http_stream, http_whole
from tests.fakes.ollama import FakeOllama, Script
from tests.running import ANY_PORT, Served, Up, on_one_loop, serving, until, wait
from tests.scripted import counted
from tests.serving.test_process import get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from llm_pool.config.load import Loaded

real_time = pytest.mark.real_time

SIM = '[[providers]]\nname = "one"\ndriver = "sim"\nmodel = "m{0}"\nsim.answers = ["{0} {0} {0} {0}"]\n'
OLLAMA = '[[providers]]\nname = "far"\ndriver = "ollama"\nmodel = "llama3"\nbase_url = "{}"\n'
LASTING = """server.max_body_bytes = 10
auth.mode = "off"
telemetry.log_level = "debug"
"""
ASK = {"prompt": "hi"}


class Site:
    """A pool that follows the files of a folder."""

    def __init__(self, folder: Path, up: Up) -> None:
        self.folder = folder
        self.up = up

    def put(self, text: str, name: str = "llm-pool.toml") -> None:
        put(self.folder, text, name)

    async def applied(self, text: str, name: str = "llm-pool.toml") -> None:
        """Put it there and wait until it is in force."""
        before = self.reloads("applied")
        self.put(text, name)
        await until(lambda: self.reloads("applied") == before + 1, within=10)

    async def refused(self, text: str) -> str:
        """Put it there and wait for the reason why it is not in force."""
        before = self.reloads("refused")
        self.put(text)
        await until(lambda: self.reloads("refused") == before + 1, within=10)
        return (await self.health())["config_error"] or ""

    def reloads(self, outcome: str) -> float:
        return counted(self.up.pool.metrics, "llm_pool_config_reloads_total", {"outcome": outcome})

    async def health(self) -> dict[str, Any]:
        async with self.up.http.get("/health") as response:
            told: dict[str, Any] = await response.json()
            return told

    async def answer(self, **ask: object) -> dict[str, Any]:
        said = await http_whole(self.up, {**ASK, **ask})
        assert said.answer is not None, said.error
        return said.answer


def put(folder: Path, text: str, name: str = "llm-pool.toml") -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / "new").write_text(text)
    (folder / "new").replace(folder / name)


@contextlib.asynccontextmanager
async def site(
    folder: Path, text: str, *, kind: type[Alive] = Alive, environ: dict[str, str] = ANY_PORT
) -> AsyncIterator[Site]:
    put(folder, text)
    found = load(folder / "llm-pool.toml", environ)
    async with kind(found, environ={}, random=random.Random(0)) as alive, serving(alive.pool) as up, Tasks() as tasks:
        await up.pool.health.settled(within=5)
        tasks.start(follow(alive, found, environ, check=refuse_unsafe), name="following")
        yield Site(folder, up)


def labels(it: Site, name: str, label: str) -> list[str]:
    """That of each sample of a metric."""
    samples = (sample for family in it.up.pool.metrics.registry.collect() for sample in family.samples)
    return [sample.labels[label] for sample in samples if sample.name == name]


# --- Applied or refused -----------------------------------------------------------------------------------------


@real_time
async def test_a_sound_change_is_in_force_and_told_everywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with site(tmp_path, SIM.format(1)) as it:
        before = await it.health()
        assert (await it.answer())["winner_model"] == "sim/m1"
        await it.applied(SIM.format(2) + SIM.format(3).replace("one", "two"))
        after = await it.health()
        assert list(after["providers"]) == ["one", "two"]
        assert after["config_version"] == it.up.pool.version != before["config_version"]
        assert {(await it.answer())["content"] for _ in range(30)} == {"2 2 2 2", "3 3 3 3"}
        assert labels(it, "llm_pool_build_info", "config_version") == [after["config_version"]]
        await it.applied(SIM.format(1).replace("one", "two"))
        assert list((await it.health())["providers"]) == ["two"]
        assert labels(it, "llm_pool_provider_up", "deployment") == ["two"]
        told = [record for record in caplog.records if record.getMessage() == "configuration changed"]
        assert vars(told[0])["fields"]["config_version"] == after["config_version"]


@real_time
async def test_a_change_that_cannot_be_is_refused_whole_with_its_line_and_forgotten_when_it_is_taken_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with site(tmp_path, SIM.format(1)) as it:
        before = await it.health()
        assert await it.refused(f"{SIM.format(2)}\nwieght = 1\n") == (
            'llm-pool.toml:7: unknown key "wieght" in [[providers]] "one"; did you mean "weight"?'
        )
        after = await it.health()
        assert after == {**before, "config_error": after["config_error"]}
        assert (await it.answer())["content"] == "1 1 1 1"
        [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert vars(record)["fields"]["why"] == after["config_error"]
        assert "not TOML" in await it.refused(SIM.format(2)[:-3])
        it.put(SIM.format(1))
        await until(lambda: it.up.pool.config_error is None, within=10)
        assert await it.health() == before
        assert (it.reloads("applied"), it.reloads("refused")) == (0, 2)
        await it.refused("[[")
        await it.applied(SIM.format(2))
        assert (await it.health())["config_error"] is None


@on_one_loop
async def test_one_that_lacks_a_key_is_refused_once_and_in_force_when_the_key_is_there(tmp_path: Path) -> None:
    """It is tried again at every look; what it opened meanwhile is not left open."""
    key = tmp_path / "key"
    async with FakeOllama() as fake, site(tmp_path, SIM.format(1)) as it:
        wanted = OLLAMA.format(fake.url) + f'api_key = "file:{key}"\n' + SIM.format(2)
        assert "[[providers]] far: " in await it.refused(wanted)
        assert (await it.answer())["content"] == "1 1 1 1"
        for number in range(3):
            (tmp_path / f"a link {number}").symlink_to("nowhere")  # which makes it look
            await asyncio.sleep(0.06)
        assert it.reloads("refused") == 1
        key.touch(0o600)
        key.write_text("secret")
        (tmp_path / "another link").symlink_to("nowhere")
        await until(lambda: it.reloads("applied") == 1, within=10)
        health = await it.health()
        assert (health["config_error"], list(health["providers"])) == (None, ["far", "one"])


@real_time
async def test_a_bug_in_one_change_is_told_and_the_next_one_is_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Buggy(Alive):
        async def apply(self, loaded: Loaded) -> None:
            if loaded.settings.providers[0].served == ("m2",):
                raise KeyError("bug")
            await super().apply(loaded)

    async with site(tmp_path, SIM.format(1), kind=Buggy) as it:
        assert await it.refused(SIM.format(2)) == "unexpected error"
        assert "KeyError: 'bug'" in caplog.text
        await it.applied(SIM.format(3))
        assert (await it.answer())["content"] == "3 3 3 3"


@real_time
async def test_what_a_process_has_for_its_lifetime_waits_for_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with site(tmp_path, SIM.format(1)) as it:
        kept = it.up.pool.settings
        await it.applied(LASTING + SIM.format(2))
        assert (await it.answer())["content"] == "2 2 2 2"  # a body of more than ten bytes
        now = it.up.pool.settings
        assert (now.server, now.auth, now.telemetry) == (kept.server, kept.auth, kept.telemetry)
        [record] = [record for record in caplog.records if record.getMessage() == "takes effect after restart"]
        keys = ["server.max_body_bytes", "auth.mode", "telemetry.log_level"]
        assert vars(record)["fields"]["keys"] == keys
        await it.applied(SIM.format(2))
        assert len([1 for record in caplog.records if "restart" in record.getMessage()]) == 1


@real_time
async def test_what_could_not_be_started_again_is_refused(tmp_path: Path) -> None:
    grpc = 'server.grpc_addr = "{}:0"\n'
    only_http = {"LLM_POOL_SERVER_HTTP_ADDR": "127.0.0.1:0"}
    async with site(tmp_path, grpc.format("127.0.0.1") + SIM.format(1), environ=only_http) as it:
        assert "[::]:0 is not loopback" in await it.refused(grpc.format("[::]") + SIM.format(2))
        assert (await it.answer())["content"] == "1 1 1 1"


@on_one_loop
async def test_prompts_are_followed_too(tmp_path: Path) -> None:
    """The sim counts the words that it was asked."""
    async with site(tmp_path, SIM.format(1)) as it:

        async def words() -> int:
            return int((await it.answer())["usage"]["input_tokens"])

        bare = await words()
        for prompt in ("one two three", "one two three four five"):
            await it.applied(prompt, "prompts/chat.md")
            assert await words() == 1 + len(prompt.split())
        (tmp_path / "prompts" / "chat.md").unlink()
        await until(lambda: it.reloads("applied") == 3, within=10)
        assert await words() == bare


# --- What goes on -----------------------------------------------------------------------------------------------


def open_connections(fake: FakeOllama) -> int:
    assert fake._runner.server is not None
    return len(fake._runner.server.connections)


@on_one_loop
async def test_a_long_stream_ends_as_it_began_and_only_then_is_its_provider_closed(tmp_path: Path) -> None:
    """Across several changes, in which its provider is another one and then none."""
    slow = {"llama3:latest": Script(answer="one two three four five six seven eight", token_after=0.06)}
    async with FakeOllama(slow) as old, FakeOllama() as new, site(tmp_path, OLLAMA.format(old.url)) as it:
        stream = asyncio.create_task(http_stream(it.up, ASK))
        await until(lambda: old.open_streams == 1)
        await it.applied(OLLAMA.format(new.url))
        await it.applied(OLLAMA.format(new.url) + "weight = 2.0\n")
        assert (await it.answer())["content"] == "Hello there, how are you?"
        await it.applied(SIM.format(1))
        await until(lambda: open_connections(new) == 0)
        assert not stream.done()
        assert open_connections(old) >= 1
        events = (await stream).events
        assert "".join(data["text"] for name, data in events if name == "text") == slow["llama3:latest"].answer
        assert events[-1][0] == "finished"
        await until(lambda: open_connections(old) == 0)


@on_one_loop
async def test_what_a_change_does_not_concern_goes_on_with_its_connection(tmp_path: Path) -> None:
    """Weights, tasks and times are no part of a provider; its address is."""
    async with FakeOllama() as fake, FakeOllama() as other, site(tmp_path, OLLAMA.format(fake.url)) as it:
        await it.answer()
        known, asked = set(fake.connections), len(fake.asked("/api/tags"))
        for key in ("weight = 3.0", 'tasks = ["chat"]', "timeout_ms = 9_000", "max_tokens = 7", "accuracy = 0.5"):
            await it.applied(f"{OLLAMA.format(fake.url)}{key}\n{SIM.format(1)}tasks = ['other']\n")
            assert (await it.health())["providers"]["far"] == "healthy"  # what is known of it, too
            await it.answer(model="ollama/llama3")
        assert fake.connections == known
        assert len(fake.asked("/api/tags")) == asked
        await it.applied(OLLAMA.format(other.url))
        await it.answer()
        await until(lambda: open_connections(fake) == 0)
        assert len(other.asked()) == 1


@on_one_loop
async def test_the_script_of_a_simulated_provider_plays_on(tmp_path: Path) -> None:
    once = "[qos]\nmax_retries = 0\n[breaker]\nfail_rate = 1.0\n"
    script = once + SIM.format(1) + "sim.fail_rate = 0.5\n"

    async def fates(*, changed: bool) -> list[int]:
        (folder := tmp_path / str(changed)).mkdir()
        async with site(folder, script) as it:
            seen = []
            for number in range(12):
                if changed and number % 4 == 0:
                    await it.applied(f"{script}weight = {number + 1}.5\n")
                seen.append((await http_whole(it.up, ASK)).status)
            return seen

    seen = await fates(changed=True)
    assert len(set(seen)) == 2
    assert seen == await fates(changed=False)


@on_one_loop
async def test_an_absurd_file_holds_up_nobody(tmp_path: Path) -> None:
    async with site(tmp_path, SIM.format(1)) as it:
        longest = 0.0
        for text in (
            "a" + ".a" * 20_000 + " = 1",
            "# " + "x" * 10_000_000,
            "".join(f"wrong{number} = 1\n" for number in range(15_000)),
        ):
            refused = asyncio.create_task(it.refused(text))
            while not refused.done():
                began = time.monotonic()
                await it.answer()
                longest = max(longest, time.monotonic() - began)
            assert "llm-pool.toml" in await refused
        assert longest < 0.5


# --- Its end ----------------------------------------------------------------------------------------------------


@real_time
async def test_it_ends_at_once_in_the_midst_of_a_change(tmp_path: Path) -> None:
    """At whatever moment; the census after each test counts what it would leave running."""
    for number, delay in enumerate((0.0, 0.03, 0.045, 0.06)):
        async with FakeOllama() as fake, contextlib.AsyncExitStack() as stack:
            it = await stack.enter_async_context(site(tmp_path, OLLAMA.format(fake.url)))
            it.put(OLLAMA.format(fake.url) + f"num_ctx = {number + 1}\n")
            await asyncio.sleep(delay)
            began = time.monotonic()
            await stack.aclose()
            assert time.monotonic() - began < 1
            await until(lambda fake=fake: open_connections(fake) == 0)  # type: ignore[misc]


# --- The process ------------------------------------------------------------------------------------------------

# Tests may run as root, whom no permission holds back: it gives up what makes it so (PR_CAPBSET_DROP of
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH) and becomes the pool. Anybody else may not, and need not.
LIKE_ANYBODY = """
import ctypes, os, sys
for capability in (1, 2):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "llm_pool", "serve", "--config", *sys.argv[1:]])
"""


@contextlib.contextmanager
def started(path: Path) -> Iterator[Served]:
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", LIKE_ANYBODY, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **ANY_PORT, "LLM_POOL_SERVER_DRAIN_ACCEPT_MS": "0"},
        cwd=Path(__file__).parents[2],
    )
    try:
        yield Served(process).ready()
    finally:
        process.kill()
        process.wait(10)


def test_a_file_that_may_not_be_read_is_refused_until_it_may(tmp_path: Path) -> None:
    """Nor a folder of prompts that may not be looked into, which is the end of no watching."""
    put(tmp_path, "Be brief.", "prompts/chat.md")
    put(tmp_path, SIM.format(1))
    with started(path := tmp_path / "llm-pool.toml") as up:
        sound = get(up, "/health")[1]
        for locked, mode in ((path, 0o644), (tmp_path / "prompts", 0o755)):
            locked.chmod(0)
            wait(lambda: "cannot be read: Permission denied" in str(get(up, "/health")[1]["config_error"]))
            locked.chmod(mode)
            wait(lambda: get(up, "/health")[1] == sound)
        put(tmp_path, SIM.format(2))
        wait(lambda: get(up, "/health")[1]["config_version"] != sound["config_version"])


def test_what_kubernetes_mounts_is_followed_and_a_shutdown_in_the_midst_is_clean(tmp_path: Path) -> None:
    def mount(number: int) -> None:
        (new := tmp_path / f"..2024_{number}").mkdir()
        (new / "llm-pool.toml").write_text(SIM.format(number))
        (tmp_path / "..data_tmp").symlink_to(new.name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    mount(0)
    (tmp_path / "llm-pool.toml").symlink_to("..data/llm-pool.toml")
    with started(tmp_path / "llm-pool.toml") as up:
        for number in (1, 2):
            version = get(up, "/health")[1]["config_version"]
            mount(number)
            wait(lambda version=version: get(up, "/health")[1]["config_version"] != version)  # type: ignore[misc]
        mount(3)
        time.sleep(0.04)
        began = time.monotonic()
        up.send(signal.SIGTERM)
        assert up.code() == 0
        assert time.monotonic() - began < 2
    events = [json.loads(line) for line in up.err]
    assert {line["level"] for line in events} == {"info"}
    assert sum(line["event"] == "configuration changed" for line in events) in {2, 3}
