"""Asking a pool over HTTP: which models it has, and one question with its answer and how long it took."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientSession, ClientTimeout

if TYPE_CHECKING:
    from collections.abc import Mapping

USABLE = {"healthy", "degraded", "loading"}
PROBING = 10.0  # seconds that a pool may take to find out how its models are
SPARE = 5.0  # seconds that an answer may take beyond its deadline


class NotMeasured(Exception):
    """There is no pool there, or none that can be asked."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`content` is None where there was no answer; `error` then says why."""

    content: str | None
    ms: float
    degraded: bool = False
    model: str = ""  # that answered
    error: str = ""


async def usable_models(session: ClientSession) -> list[str]:
    """Every model that can be named and is there now, in the order of the configuration. Raises NotMeasured."""
    try:
        async with asyncio.timeout(PROBING):
            detailed = await _detailed(session)
            while any(each["state"] == "checking" for each in detailed.values()):
                await asyncio.sleep(0.1)
                detailed = await _detailed(session)
    except (ClientError, TimeoutError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotMeasured(f"no pool tells how it is: {type(error).__name__}: {error}") from error
    models = [model for each in detailed.values() if each["state"] in USABLE for model in each["models"]]
    return [model for model in dict.fromkeys(models) if not model.endswith("/*")]


async def ask(session: ClientSession, task: str, prompt: str, *, model: str | None, deadline: float) -> Reply:
    """One question; `deadline` in seconds. Never raises for what the pool does."""
    body: dict[str, Any] = {"task": task, "prompt": prompt, "deadline_ms": round(deadline * 1000)}
    if model is not None:
        body["model"] = model
    start = time.perf_counter()
    try:
        async with session.post("/v1/infer", json=body, timeout=ClientTimeout(deadline + SPARE)) as answer:
            status, raw = answer.status, await answer.read()
    except (ClientError, TimeoutError) as error:
        return Reply(None, _since(start), error=f"{type(error).__name__}: {error}")
    return _reply(status, raw, _since(start))


def _reply(status: int, raw: bytes, ms: float) -> Reply:
    try:
        said = json.loads(raw)
        if status != 200:
            return Reply(None, ms, error=f"{status} {said['error']['code']}: {said['error']['message']}")
        return Reply(said["content"], ms, degraded=said["decision"]["degraded"], model=said["winner_model"])
    except (ValueError, KeyError, TypeError) as error:
        return Reply(None, ms, error=f"{status}, and no answer of a pool: {error}")


async def _detailed(session: ClientSession) -> Mapping[str, Any]:
    async with session.get("/health/detailed", timeout=ClientTimeout(PROBING)) as answer:
        providers: Mapping[str, Any] = (await answer.json())["providers"]
        return providers


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
