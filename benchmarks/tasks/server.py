"""A pool for the length of a block: `llm-pool serve` with the default configuration, on ports of its own choice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.overhead.server import parse_ready
from benchmarks.tasks.client import NotMeasured
from benchmarks.tasks.examples import ROOT

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

CONFIG = ROOT / "llm-pool.toml"
START = 30.0  # seconds that it may take to be ready
END = 10.0  # seconds that it may take to end


@asynccontextmanager
async def pool(config: Path = CONFIG) -> AsyncIterator[str]:
    """Its address, `http://host:port`. Raises NotMeasured where it does not start.

    The environment is the caller's, who may say there where Ollama is (OLLAMA_HOST).
    """
    with tempfile.TemporaryDirectory(prefix="llm-pool-tasks-") as folder:
        log = Path(folder) / "stderr"
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "llm_pool", "serve", "--config", str(config)),
                cwd=ROOT,
                env={
                    **os.environ,
                    "LLM_POOL_SERVER_HTTP_ADDR": "127.0.0.1:0",
                    "LLM_POOL_SERVER_GRPC_ADDR": "127.0.0.1:0",
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C is for us; we end it
            )
        try:
            address = await _address(process)
            if address is None:
                said = log.read_text(errors="replace").strip()[-500:]
                raise NotMeasured(f"the pool did not say that it is ready: {said or 'it said nothing'}")
            yield f"http://{address}"
        finally:
            await _end(process)


async def _address(process: Process) -> str | None:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START):
            line = await process.stdout.readline()
    except (TimeoutError, ValueError):  # ValueError: a line without an end
        return None
    return parse_ready(line.decode(errors="replace")).get("HTTP")


async def _end(process: Process) -> None:
    """SIGINT is a person's "stop now". What does not listen is killed, with its own process group only."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(END):
            await process.communicate()
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()
