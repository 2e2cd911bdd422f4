"""The real pool before the real engine, and the official clients of its doors.

async with pooled(CHAIN, wire="anthropic") as up, up.openai() as client:
    answer = await client.chat.completions.create(model=up.model, messages=[...])
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from llm_pool.app import running
from tests.engine.server import KEY, Engine, serving
from tests.running import loaded
from tests.running import serving as serving_pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.engine.models import Model
    from tests.running import Up

Wire = Literal["openai", "anthropic"]
WIRES: tuple[Wire, ...] = ("openai", "anthropic")

PLAIN = '[tasks.chat]\nprompt = ""\n'
CLIENT: dict[str, Any] = {"api_key": "sk-nobody-asks", "max_retries": 0, "timeout": 20}


@dataclass(frozen=True, slots=True)
class Pooled:
    """The engine, the pool in front of it, and the name by which the pool knows its model."""

    engine: Engine
    pool: Up
    model: str

    @property
    def url(self) -> str:
        return f"http://{self.pool.http_address}"

    def openai(self, *, strict: bool = True) -> AsyncOpenAI:
        """`strict`: every answer must be what the client's own types say."""
        return AsyncOpenAI(base_url=f"{self.url}/v1", **CLIENT, _strict_response_validation=strict)

    def anthropic(self) -> AsyncAnthropic:
        return AsyncAnthropic(base_url=self.url, **CLIENT, _strict_response_validation=True)

    def openai_sync(self) -> OpenAI:
        """For a thread: it would hold up the pool's own loop."""
        return OpenAI(base_url=f"{self.url}/v1", **CLIENT, _strict_response_validation=True)

    def anthropic_sync(self) -> Anthropic:
        return Anthropic(base_url=self.url, **CLIENT, _strict_response_validation=True)


def table(engine: Engine, wire: Wire, model: str) -> str:
    """The `[[providers]]` table of an engine, asked in the words of one API or of the other."""
    base = f"{engine.url}/v1" if wire == "openai" else engine.url
    return (
        f'[[providers]]\nname = "engine"\ndriver = "{wire}"\nbase_url = "{base}"\n'
        f'model = "{model}"\napi_key = "env:ENGINE_KEY"\n'
    )


@asynccontextmanager
async def pooled(
    model: Model,
    *,
    wire: Wire = "openai",
    key: str = KEY,
    context: int = 4096,
    embeddings: bool = False,
) -> AsyncIterator[Pooled]:
    """`key` is what the pool takes for the engine's key."""
    async with (
        serving(model, context=context, embeddings=embeddings, key=True) as engine,
        before(engine, wire, model.name, key=key) as up,
    ):
        yield up


@asynccontextmanager
async def before(engine: Engine, wire: Wire, model: str, *, key: str = KEY) -> AsyncIterator[Pooled]:
    """A pool in front of an engine that runs."""
    config = loaded(PLAIN + table(engine, wire, model))
    async with running(config, environ={"ENGINE_KEY": key}) as pool, serving_pool(pool) as up:
        await pool.health.settled(within=5.0)
        yield Pooled(engine, up, f"{wire}/{model}")
