"""Start llama-server for the length of a block, on a port of its own choice.

async with serving(CHAIN) as engine:
    async with session.get(f"{engine.url}/health") as answer: ...
    assert await engine.busy() == 0
"""

from __future__ import annotations

import asyncio
import atexit
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.engine.models import Model, made
from tests.running import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

ROOT = Path(__file__).parents[2]
START = 20.0  # seconds; alone it takes a tenth of one
KEY = "the-key-of-the-engine"


@dataclass(frozen=True, slots=True)
class Engine:
    """A running llama-server. OpenAI's wire is below `url`/v1, Anthropic's paths begin with it, too."""

    url: str
    model: str  # its name for the model

    async def busy(self) -> int:
        """How many answers it is working on."""
        headers = {"Authorization": f"Bearer {KEY}"}
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/slots", headers=headers) as answer:
            return sum(slot["is_processing"] for slot in await answer.json())

    async def counted(self, *messages: Mapping[str, Any]) -> int:
        """How many tokens these are for it, its template included."""
        headers, body = (
            {"Authorization": f"Bearer {KEY}"},
            {"messages": messages, "max_tokens": 1, "cache_prompt": False},
        )
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/v1/chat/completions", headers=headers, json=body) as answer,
        ):
            tokens: int = (await answer.json())["usage"]["prompt_tokens"]
            return tokens

    async def working(self, *, within: float = 5.0) -> None:
        """Wait until it works on something. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while not await self.busy():  # noqa: ASYNC110 - it has no event for that
                await asyncio.sleep(0.005)

    async def idle(self, *, within: float = 0.25) -> None:
        """Wait until it works on nothing. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while await self.busy():  # noqa: ASYNC110 - it has no event for that
                await asyncio.sleep(0.005)


@cache
def program() -> Path:
    """Where the engine is. Fails the test where it was not built."""
    command = [str(ROOT / "scripts/build-engine"), "--path"]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own script
    path = Path(asked.stdout.strip())
    if not path.exists():
        pytest.fail(f"{path} is not there: run scripts/build-engine, or scripts/test --engine, which does")
    return path


@cache
def folder() -> Path:
    """Where the models are. One for each process of pytest: to make them takes less than to agree on one."""
    path = Path(tempfile.mkdtemp(prefix="llm-pool-models-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@asynccontextmanager
async def serving(
    model: Model, *, context: int = 4096, slots: int = 2, embeddings: bool = False, key: bool = False
) -> AsyncIterator[Engine]:
    """The engine with this model; each of its slots has `context` tokens. `key`: it wants KEY of whoever asks."""
    path = made(model, folder())
    arguments = [
        "--model",
        str(path),
        "--alias",
        model.name,
        "--ctx-size",
        f"{context * slots}",
        "--parallel",
        f"{slots}",
    ]
    if embeddings:
        arguments += ["--embeddings", "--pooling", "mean"]
    if key:
        arguments += ["--api-key", KEY]
    async with _started(arguments) as url:
        yield Engine(url, model.name)


@asynccontextmanager
async def several(*models: Model) -> AsyncIterator[Engine]:
    """An engine with all of these, which starts a process for each when it is first asked. `model` is the first."""
    with tempfile.TemporaryDirectory() as directory:
        for model in models:
            made(model, Path(directory))
        async with _started(["--models-dir", directory, "--ctx-size", "2048"]) as url:
            yield Engine(url, models[0].name)


@asynccontextmanager
async def _started(arguments: list[str]) -> AsyncIterator[str]:
    """Its address, from what it writes into its log once it is ready."""
    common = ["--host", "127.0.0.1", "--port", "0", "--no-ui", "--offline", "--threads", "1", "--threads-http", "4"]
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        process = await asyncio.create_subprocess_exec(
            program(), *common, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=_environ()
        )
        try:
            yield await _address(process, Path(log.name))
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _address(process: asyncio.subprocess.Process, log: Path) -> str:
    def ready() -> re.Match[str] | None:
        return re.search(r"listening on (http://\S+)", _read(log))

    with suppress(TimeoutError):
        await until(lambda: bool(ready()) or process.returncode is not None, within=START)
    found = ready()
    if not found:
        pytest.fail(f"the engine did not start: {_read(log)[-1000:]}")
    return found[1]


def _read(log: Path) -> str:
    return log.read_text(errors="replace")


def _environ() -> dict[str, str]:
    """Ours without what would configure it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("LLAMA_", "GGML_", "HF_"))}
