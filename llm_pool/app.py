"""The composition root: settings in, a running pool out. The one module that knows every concrete class."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from random import Random
from typing import TYPE_CHECKING, assert_never

from llm_pool.config.catalog import Catalog
from llm_pool.core import clock
from llm_pool.core.errors import StartRefused
from llm_pool.core.streams import nested
from llm_pool.dispatch.attempts import Attempts
from llm_pool.dispatch.health import HealthWatch
from llm_pool.dispatch.line import lines
from llm_pool.dispatch.router import Deployment, Router
from llm_pool.gates.preparing import Preparing
from llm_pool.gates.recording import Recording
from llm_pool.pool import HealthBoard, Pool
from llm_pool.providers.ollama.client import DEFAULT_URL, Ollama
from llm_pool.providers.sim.client import Simulated
from llm_pool.secrets.references import resolve
from llm_pool.strategies.chosen import Chosen
from llm_pool.strategies.fastest import Fastest
from llm_pool.telemetry.lag import watch_lag
from llm_pool.telemetry.metrics import Metrics
from llm_pool.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

    from llm_pool.config.load import Loaded
    from llm_pool.config.prompts import Prompt
    from llm_pool.config.settings import ProviderTable, Settings
    from llm_pool.core.ports.provider import Provider


@asynccontextmanager
async def running(
    loaded: Loaded,
    *,
    environ: Mapping[str, str] = os.environ,
    now: clock.Clock = clock.now,
    random: Random | None = None,
) -> AsyncIterator[Pool]:
    """Everything that answers, alive for the length of the block. Raises StartRefused as `providers` does."""
    settings = loaded.settings
    metrics = Metrics()
    metrics.build(__version__, loaded.version).set(1)
    built = providers(settings, environ)
    async with AsyncExitStack() as stack:
        for each in built.values():
            await stack.enter_async_context(each)
        health = await stack.enter_async_context(HealthWatch(built, metrics))
        await stack.enter_async_context(_owned(watch_lag(metrics.loop_lag, now=now)))
        yield composed(
            settings,
            version=loaded.version,
            prompts=loaded.prompts,
            built=built,
            health=health,
            metrics=metrics,
            now=now,
            random=random or Random(),  # noqa: S311 - it spreads load, it guards nothing
        )


def composed(
    settings: Settings,
    *,
    version: str,
    prompts: Mapping[str, Prompt] | None = None,
    built: Mapping[str, Provider],
    health: HealthBoard,
    metrics: Metrics,
    now: clock.Clock,
    random: Random,
) -> Pool:
    """The pool over these providers, on the running loop: everything that a request passes, in one list."""
    catalog = Catalog.of(settings, prompts)
    configured = deployments(settings, catalog, built)
    router = Router(configured, health=health.of, random=random)
    attempts = Attempts(router, metrics, line=lines(metrics, now=now, configured=configured))
    ask = nested(
        [
            Recording(metrics, now=now),
            Preparing(catalog, version=version),
            Chosen({"fastest": Fastest()}),
        ],
        attempts.ask,
    )
    return Pool(ask, settings=settings, version=version, catalog=catalog, health=health, metrics=metrics, now=now)


def providers(settings: Settings, environ: Mapping[str, str]) -> dict[str, Provider]:
    """The provider of each table, by its name, not yet opened. Raises StartRefused where one cannot be: no key, say."""
    built: dict[str, Provider] = {}
    for table in settings.providers:
        try:
            built[table.name] = _provider(table, environ)
        except ValueError as error:  # a SecretError among them
            raise StartRefused(f"[[providers]] {table.name}: {error}") from error
    return built


def _provider(table: ProviderTable, environ: Mapping[str, str]) -> Provider:
    """The driver of one `[[providers]]` table."""
    match table.driver:
        case "ollama":
            return Ollama(
                name=table.name,
                base_url=table.base_url or DEFAULT_URL,
                models=table.served,
                api_key=resolve(table.api_key, environ) if table.api_key else None,
                extra_headers=table.extra_headers,
                num_ctx=table.num_ctx,
                keep_alive=table.keep_alive,
                preload=table.preload,
            )
        case "builtin":
            from llm_pool.providers.builtin.client import Builtin
            return Builtin(models=table.served)
        case "sim":
            return Simulated(table.sim, provider=table.prefix, models=table.served)
        case _:
            assert_never(table.driver)


def deployments(settings: Settings, catalog: Catalog, built: Mapping[str, Provider]) -> list[Deployment]:
    """One deployment for each model of each table."""
    tasks = {table.name: _tasks_of(table, catalog) for table in settings.providers}
    return [
        Deployment(
            name=table.name,
            model=f"{table.prefix}/{upstream}",
            upstream=upstream,
            provider=built[table.name],
            tasks=tasks[table.name],
            weight=table.weight,
            fallback=table.fallback,
            max_tokens=table.max_tokens,
            timeout=None if table.timeout_ms is None else table.timeout_ms / 1000,
        )
        for table in settings.providers
        for upstream in table.served
    ]


def _tasks_of(table: ProviderTable, catalog: Catalog) -> frozenset[str]:
    return frozenset(task.name for task in catalog.tasks.values() if table.name in task.providers)


@asynccontextmanager
async def _owned(service: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run a service for the length of the block."""
    task = asyncio.create_task(service)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
