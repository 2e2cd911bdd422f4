"""Every field of every door, with a value of every kind in its place: an error in the door's shape, or an answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from llm_pool.edges.http.openapi import document
from tests.edges.hostile.doors import DOORS, places, put, refusal
from tests.edges.hostile.rich import CANARY
from tests.edges.hostile.watching import log_of
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic import Script as ByAnthropic
from tests.fakes.ollama import FakeOllama
from tests.fakes.ollama import Script as ByOllama
from tests.fakes.openai import FakeOpenAI
from tests.fakes.openai import Script as ByOpenAI
from tests.running import running_pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.edges.hostile.doors import Door, Json
    from tests.running import Up

# What stands in the place of a field. More of each kind with --thorough.
VALUES = [b"null", b"true", b"1.5", b"18446744073709551616", b"[[]]", b"{}", orjson.dumps(CANARY)]
MORE = [
    *(b"false", b"0", b"-1", b"1e308", b"1e999", b"NaN", b"9223372036854775808", b"-9223372036854775809"),
    *(b'""', b'"x"', b'"a\\r\\nb: c"', b'"\\u0000"', b'"\\ud800"'),
    *(b"[]", b"[null]", b'["x"]', b"[1]", b"[{}]", b'{"a":1}', b'{"type":"x"}', b'{"type":"text","text":""}'),
]
CANARY_SAID = VALUES[-1]
NAMES = {"model", "task", "strategy", "project_id"}  # are for the log, and for who is told that there is none
HOLE = "@hole@"
ANSWER = "{}"  # fits every schema that is asked for
AT_ONCE = 16


@pytest.mark.parametrize("door", DOORS.values(), ids=lambda door: door.model)
def test_no_field_is_left_out(door: Door) -> None:
    """Those of the document all stand in the bodies in which they are replaced."""
    schemas = document()["components"]["schemas"]
    found: set[str] = set()
    to_see, seen = [door.model], set()
    while to_see:
        name = to_see.pop()
        if name not in seen:
            seen.add(name)
            found |= set(schemas[name].get("properties", {}))
            to_see += _referred(schemas[name])
    stand = {step for body in door.rich for path in places(body) for step in path}
    assert found - stand == {"model"}


def _referred(part: Any) -> Iterator[str]:
    if isinstance(part, dict) and "$ref" in part:
        yield part["$ref"].rpartition("/")[2]
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _referred(each)


@pytest.mark.faults
@pytest.mark.real_time
@pytest.mark.parametrize("door", DOORS.values(), ids=lambda door: door.path)
async def test_a_field_of_another_type_is_refused_or_does_no_harm(door: Door, pytestconfig: pytest.Config) -> None:
    thorough = pytestconfig.getoption("--thorough")
    async with (
        FakeOpenAI({"m": ByOpenAI(ANSWER)}) as openai,
        FakeAnthropic({"m": ByAnthropic.saying(ANSWER)}) as anthropic,
        FakeOllama({"m:latest": ByOllama(ANSWER)}) as ollama,
        running_pool(f"""
            [tasks.chat]
            prompt = ""
            [[providers]]
            name = "sim"
            driver = "sim"
            model = "m"
            sim.answers = ['{ANSWER}']
            {_table("openai", openai.url)}
            {_table("anthropic", anthropic.url)}
            {_table("ollama", ollama.url)}
        """) as up,
    ):
        with log_of(up) as log:
            for provider in ("sim", "openai", "anthropic", "ollama") if thorough else ("openai",):
                await _every(up, door, f"{provider}/m", VALUES + MORE * (thorough and provider == "openai"))
    assert not [line for line in log if "unexpected error" in line]
    assert not [line for line in log if CANARY in line]


def _table(driver: str, url: str) -> str:
    return f'[[providers]]\nname = "{driver}"\ndriver = "{driver}"\nmodel = "m"\nbase_url = "{url}"\n'


async def _every(up: Up, door: Door, model: str, values: list[bytes]) -> None:
    free = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        for rich in door.rich:
            body: Json = {"model": model, **rich}
            for path in places(body):
                holed = orjson.dumps(put(body, path, HOLE))
                for value in values:
                    if value == CANARY_SAID and path[-1] in NAMES:
                        continue
                    tasks.create_task(_one(up, door, holed.replace(b'"%b"' % HOLE.encode(), value), free))


async def _one(up: Up, door: Door, raw: bytes, free: asyncio.Semaphore) -> None:
    headers = {"Content-Type": "application/json"}
    async with free, up.http.post(door.path, data=raw, headers=headers) as response:
        told = await response.read()
    if response.status == 200:
        assert b"event: error" not in told, raw
        assert b'data: {"error"' not in told, raw
        return
    assert 400 <= response.status < 500, (raw, told)
    message = refusal(door, told)
    assert len(message) < 1_000
    assert response.headers["Content-Type"] == "application/json"
