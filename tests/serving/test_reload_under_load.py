"""Ten changes a second for ten seconds while everybody asks: no request fails, and none sees two configurations."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.reload.callers import Callers, Tally, ask_all
from benchmarks.reload.numbered import mount, number_of
from llm_pool.app import Alive
from llm_pool.config.load import load
from llm_pool.core.tasks import Tasks
from llm_pool.pool import Snapshot
from llm_pool.reload import follow
from llm_pool.serve import refuse_unsafe
from tests.fakes.ollama import FakeOllama
from tests.running import ANY_PORT, serving, until
from tests.scripted import counted, request
from tests.virtual import nothing_left_running

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from tests.running import Up

pytestmark = pytest.mark.faults

SECONDS, EVERY = 10.0, 0.1
CALLERS = 2  # of each kind
STEADY = '\n[[providers]]\nname = "steady"\ndriver = "ollama"\nmodel = "llama3"\nbase_url = "{}"\ntasks = ["steady"]\n'


class Watchers:
    """Those who look at the pool from within and from outside while it changes."""

    def __init__(self, up: Up, ends: asyncio.Event) -> None:
        self._up = up
        self._ends = ends
        self.versions: defaultdict[str, set[str]] = defaultdict(set)  # version -> what was seen with it
        self.wrong: list[str] = []

    async def ask_within(self) -> None:
        """The only one who sees which configuration a request was prepared with."""
        pool = self._up.pool
        while not self._ends.is_set():
            asked = request()
            answer = await pool.infer(asked)
            number = number_of(answer.content)
            self.versions[asked.trace.config_version].add(f"quick-{number}")
            if answer.model != f"sim/quick-{number}":
                self.wrong.append(answer.model)
            await asyncio.sleep(0.005)

    async def look_at_health(self) -> None:
        while not self._ends.is_set():
            async with self._up.http.get("/health") as response:
                told = await response.json()
            self.versions[told["config_version"]].add(next(iter(told["providers"])))
            if told["config_error"] or told["providers"]["steady"] != "healthy" or not told["healthy"]:
                self.wrong.append(str(told))
            await asyncio.sleep(0.01)

    async def look_at_metrics(self) -> None:
        """What was counted is never counted back, and one configuration is in force."""
        before: dict[str, float] = {}
        while not self._ends.is_set():
            async with self._up.http.get("/metrics") as response:
                now = dict(_samples(await response.text()))
            self.wrong += [name for name, value in before.items() if "_total" in name and now.get(name, -1) < value]
            if sum("llm_pool_build_info" in name for name in now) != 1:
                self.wrong.append("builds")
            before = now
            await asyncio.sleep(0.5)


def test_nobody_notices_ten_changes_a_second(tmp_path: Path) -> None:
    """Ten seconds, so once, on the loop that the pool itself runs on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_play(tmp_path))


async def _play(folder: Path) -> None:
    async with FakeOllama() as fake:
        steady = STEADY.format(fake.url)
        mount(folder, 0, after=steady)
        first = load(folder / "llm-pool.toml", ANY_PORT)
        async with Alive(first, environ={}) as alive, serving(alive.pool) as up, Tasks() as tasks:
            await alive.pool.health.settled(within=5)
            tasks.start(follow(alive, first, ANY_PORT, check=refuse_unsafe), name="following")
            await _under_load(folder, up, steady, seconds=0.3)
            # Every thread and every connection that there can be.
            await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.03) for _ in range(20)))
            fake.delays["/api/chat"] = 0.1
            await asyncio.gather(*(Callers(up.http, up.stub).steady() for _ in range(CALLERS + 1)))
            fake.delays.clear()
            await until(lambda: len(alive._tasks._running) == 1, within=5)  # the loop's lag is watched on
            held, provider, known = (
                _held(alive),
                alive._kept._open[_steady(alive)].provider,
                up.pool.health.of("steady"),
            )
            connections = len(fake.connections)

            tally, watchers, last = await _under_load(folder, up, steady, seconds=SECONDS)
            assert (tally.failures, tally.mixed, watchers.wrong) == ([], [], [])
            assert counted(up.pool.metrics, "llm_pool_config_reloads_total", {"outcome": "refused"}) == 0
            assert counted(up.pool.metrics, "llm_pool_config_reloads_total", {"outcome": "applied"}) > 0.5 * last
            assert len(tally.numbers) > 0.5 * last
            assert {version: seen for version, seen in watchers.versions.items() if len(seen) != 1} == {}
            assert len(watchers.versions) > 0.5 * last
            # What no change concerned is as it was, and of all that came meanwhile only the last one is left.
            assert alive._kept._open[_steady(alive)].provider is provider
            assert up.pool.health.of("steady") == known
            assert len(fake.connections) == connections
            await until(lambda: len(alive._tasks._running) == 1, within=5)  # the loop's lag is watched on
            assert list(up.pool.health.all()) == [f"quick-{last}", "slow", "steady"]
            shown = {name for name, _ in _samples(up.pool.metrics.render().decode()) if "provider_up{" in name}
            assert shown == {f"llm_pool_provider_up{{'deployment': '{name}'}}" for name in up.pool.health.all()}
            with suppress(TimeoutError):
                await until(lambda: _held(alive) == held, within=1)
            assert {name: more - held[name] for name, more in _held(alive).items() if more > held[name]} == {}
    await nothing_left_running()


async def _under_load(folder: Path, up: Up, steady: str, *, seconds: float) -> tuple[Tally, Watchers, int]:
    """Everybody asks while it changes. The number of the last configuration, which is then in force."""
    ends = asyncio.Event()
    tally, watchers = Tally(), Watchers(up, ends)
    async with asyncio.TaskGroup() as group:
        group.create_task(ask_all(Callers(up.http, up.stub), tally, until=ends, each=CALLERS))
        group.create_task(watchers.ask_within())
        group.create_task(watchers.look_at_health())
        group.create_task(watchers.look_at_metrics())
        last = await _changing(folder, steady, seconds=seconds)
        await until(lambda: f"quick-{last}" in up.pool.health.all(), within=10)
        ends.set()
    return tally, watchers, last


async def _changing(folder: Path, steady: str, *, seconds: float) -> int:
    number = int((folder / "..data").readlink().name.removeprefix(".."))
    begin = asyncio.get_running_loop().time()
    for change in range(1, round(seconds / EVERY) + 1):
        number += 1
        await asyncio.to_thread(mount, folder, number, after=steady)
        await asyncio.sleep(max(0.0, begin + change * EVERY - asyncio.get_running_loop().time()))
    return number


def _steady(alive: Alive) -> tuple[str, Hashable]:
    return "steady", alive._using["steady"].of


def _held(alive: Alive) -> dict[str, int]:
    gc.collect()
    return {
        "providers": len(alive._kept._open),
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "snapshots": sum(isinstance(each, Snapshot) for each in gc.get_objects()),
    }


def _samples(text: str) -> Iterator[tuple[str, float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield f"{sample.name}{sample.labels}" if sample.labels else sample.name, sample.value
