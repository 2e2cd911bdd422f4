"""The composition root: settings in, a running pool out. The one module that knows every concrete class."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Self, assert_never
from urllib.parse import urlsplit

from llm_pool.config.catalog import Catalog
from llm_pool.config.tables import KEYS
from llm_pool.core import clock
from llm_pool.core.errors import StartRefused
from llm_pool.core.streams import nested
from llm_pool.core.tasks import Tasks
from llm_pool.dispatch.admission import Admission
from llm_pool.dispatch.attempts import Attempts
from llm_pool.dispatch.balance import balance_of
from llm_pool.dispatch.breaker import Rules as BreakerRules
from llm_pool.dispatch.health import HealthWatch
from llm_pool.dispatch.kept import Kept, Made
from llm_pool.dispatch.learned import Learned
from llm_pool.dispatch.limits import Limits
from llm_pool.dispatch.line import lines
from llm_pool.dispatch.quota import Allowed
from llm_pool.dispatch.router import Deployment, Router
from llm_pool.dispatch.standing import Terms
from llm_pool.gates.preparing import Preparing
from llm_pool.gates.recording import Recording
from llm_pool.pool import HealthBoard, Pool, Snapshot
from llm_pool.providers.anthropic.client import Anthropic
from llm_pool.providers.builtin.client import Builtin
from llm_pool.providers.ollama.client import Ollama
from llm_pool.providers.openai.client import OpenAI
from llm_pool.providers.sim.client import Simulated
from llm_pool.providers.unconfigured import Unconfigured
from llm_pool.secrets.references import resolve
from llm_pool.strategies.chosen import Chosen
from llm_pool.strategies.fastest import Fastest
from llm_pool.telemetry.lag import watch_lag
from llm_pool.telemetry.metrics import Metrics
from llm_pool.telemetry.traces import TraceFile
from llm_pool.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import TracebackType

    from llm_pool.config.load import Loaded
    from llm_pool.config.prompts import Prompt
    from llm_pool.config.settings import Settings
    from llm_pool.config.tables import ProviderTable
    from llm_pool.core.ports.provider import Provider


class Alive(AbstractAsyncContextManager["Alive"]):
    """The pool, and everything that it is made of, for the length of the block. `apply` changes its configuration."""

    pool: Pool

    def __init__(
        self,
        loaded: Loaded,
        *,
        environ: Mapping[str, str] = os.environ,
        now: clock.Clock = clock.now,
        random: Random | None = None,
    ) -> None:
        self._first = loaded
        self._environ = environ
        self._now = now
        self._random = random or Random()  # noqa: S311 - it spreads load, it guards nothing
        self._metrics = Metrics()
        self._traces: TraceFile | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Raises StartRefused where a provider cannot be: no key, say."""
        async with self._stack as stack:
            if path := self._first.settings.telemetry.trace_file:
                self._traces = await stack.enter_async_context(TraceFile(path, version=__version__, now=self._now))
            self._kept = await stack.enter_async_context(Kept())
            self._tasks = await stack.enter_async_context(Tasks())
            self._learned = Learned(metrics=self._metrics, now=self._now, random=self._random)
            self._health = await stack.enter_async_context(
                HealthWatch(self._metrics, now=self._now, looked=self._learned.looked)
            )
            self._tasks.start(watch_lag(self._metrics.loop_lag, now=self._now), name="watching the loop's lag")
            self._using, built, snapshot = await self._begun(self._first)
            await self._health.follow(built)
            self.pool = Pool(snapshot, health=self._health, learned=self._learned, metrics=self._metrics, now=self._now)
            self._metrics.build(__version__, self._first.version).set(1)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def apply(self, loaded: Loaded) -> None:
        """Answer with this configuration from now on. What it does not change goes on as it is: connections, health,
        what was learned. Requests under way end with the configuration that they began with.

        Raises StartRefused, and then nothing has changed.
        """
        using, built, snapshot = await self._begun(loaded)
        # From here to the first suspension, inside of `follow`, all is one step: nobody sees the half of it.
        before = self.pool.swap(snapshot)
        used, self._using = self._using, using
        self._metrics.build.forget(__version__, before.version)
        self._metrics.build(__version__, snapshot.version).set(1)
        try:
            await self._health.follow(built)
        finally:
            self._tasks.start(self._retire(before, used), name="the end of a former configuration")

    async def _begun(self, loaded: Loaded) -> tuple[Mapping[str, Made], Mapping[str, Provider], Snapshot]:
        """What it is made of, its providers, opened, and the way of a request through them."""
        wanted = await asyncio.to_thread(providers, loaded.settings, self._environ)  # keys may be in files
        built = await self._kept.take(wanted)
        try:
            snapshot = composed(
                loaded.settings,
                version=loaded.version,
                prompts=loaded.prompts,
                built=built,
                health=self._health,
                learned=self._learned,
                metrics=self._metrics,
                now=self._now,
                random=self._random,
                traces=self._traces,
            )
        except BaseException:  # whatever it is: nobody will use them
            await self._kept.drop(wanted)
            raise
        return wanted, built, snapshot

    async def _retire(self, snapshot: Snapshot, used: Mapping[str, Made]) -> None:
        """Close what only this configuration used, once its last request has ended."""
        await snapshot.ended()
        await self._kept.drop(used)


@asynccontextmanager
async def running(
    loaded: Loaded,
    *,
    environ: Mapping[str, str] = os.environ,
    now: clock.Clock = clock.now,
    random: Random | None = None,
) -> AsyncIterator[Pool]:
    """A pool whose configuration does not change. Raises StartRefused as `Alive` does."""
    async with Alive(loaded, environ=environ, now=now, random=random) as alive:
        yield alive.pool


def composed(
    settings: Settings,
    *,
    version: str,
    prompts: Mapping[str, Prompt] | None = None,
    built: Mapping[str, Provider],
    health: HealthBoard,
    learned: Learned,
    metrics: Metrics,
    now: clock.Clock,
    random: Random,
    traces: TraceFile | None = None,
) -> Snapshot:
    """The way through these providers, on the running loop: everything that a request passes, in one list. What was
    learned obeys these settings from now on.
    """
    catalog = Catalog.of(settings, prompts)
    configured = deployments(settings, catalog, built, learned)
    learned.adopt(settings.qos, configured)
    router = Router(
        configured,
        health=health.of,
        balance=balance_of(settings.qos.balance, random=random, now=now),
        unconfigured={prefix: KEYS[prefix].removeprefix("env:") for prefix in catalog.unconfigured},
        substitute=settings.qos.fallback_unconfigured == "builtin",
    )
    attempts = Attempts(
        router,
        metrics,
        line=lines(metrics, now=now, configured=configured),
        learned=learned,
        max_retries=settings.qos.max_retries,
        random=random,
    )
    ask = nested(
        [
            Recording(metrics, now=now, traces=traces),
            Preparing(catalog, version=version),
            Admission(learned.room),
            Chosen({"fastest": Fastest()}),
        ],
        attempts.ask,
    )
    return Snapshot(ask, settings=settings, version=version, catalog=catalog)


# What does not belong to a provider's connection or manner: who is asked, how often and for how long. Changing these
# leaves the provider as it is.
_DISPATCH = {
    "tasks", "weight", "priority", "accuracy", "fallback", "max_tokens", "timeout_ms", "first_token_timeout_ms",
    "idle_timeout_ms", "max_concurrent", "requests_per_minute", "tokens_per_minute", "daily_tokens",
}  # fmt: skip


def providers(settings: Settings, environ: Mapping[str, str]) -> dict[str, Made]:
    """The provider of each table, by its name, not yet opened, with what it is made of.

    Raises StartRefused where one cannot be: no key, say.
    """
    made: dict[str, Made] = {}
    for table in settings.providers:
        try:
            variable = table.missing(environ)
            key = resolve(table.key, environ) if table.key and not variable else None
            provider = Unconfigured(name=table.name, variable=variable) if variable else _provider(table, key)
        except ValueError as error:  # a SecretError among them
            raise StartRefused(f"[[providers]] {table.name}: {error}") from error
        made[table.name] = Made((table.model_dump_json(exclude=_DISPATCH), key), provider)
    return made


def _provider(table: ProviderTable, key: str | None) -> Provider:
    """The driver of one `[[providers]]` table."""
    match table.driver:
        case "openai" | "openrouter":
            return OpenAI(
                name=table.name,
                provider=table.prefix,
                base_url=table.url,
                models=table.served,
                api_key=key,
                extra_headers=table.extra_headers,
                connect_timeout=table.connect_timeout_ms / 1000,
                openrouter=table.driver == "openrouter",
                app_url=table.app_url,
                app_name=table.app_name,
            )
        case "anthropic":
            return Anthropic(
                name=table.name,
                provider=table.prefix,
                base_url=table.url,
                models=table.served,
                api_key=key,
                extra_headers=table.extra_headers,
                connect_timeout=table.connect_timeout_ms / 1000,
            )
        case "ollama":
            return Ollama(
                name=table.name,
                provider=table.prefix,
                base_url=table.url,
                models=table.served,
                api_key=key,
                extra_headers=table.extra_headers,
                num_ctx=table.num_ctx,
                keep_alive=table.keep_alive,
                preload=table.preload,
                connect_timeout=table.connect_timeout_ms / 1000,
            )
        case "builtin":
            return Builtin(models=table.served)
        case "sim":
            return Simulated(table.sim, provider=table.prefix, models=table.served)
        case _:
            assert_never(table.driver)


def deployments(
    settings: Settings, catalog: Catalog, built: Mapping[str, Provider], learned: Learned
) -> list[Deployment]:
    """One deployment for each model of each table."""
    made: list[Deployment] = []
    for table in settings.providers:
        provider, tasks, terms = built[table.name], _tasks_of(table, catalog), _terms(table, settings)
        for upstream in table.served:
            model = f"{table.prefix}/{upstream}"
            made.append(
                Deployment(
                    name=table.name,
                    model=model,
                    upstream=upstream,
                    provider=provider,
                    standing=learned.standing(table.name, model, provider, terms),
                    terms=terms,
                    tasks=tasks,
                    host=_host(table),
                    weight=table.weight,
                    priority=table.priority,
                    fallback=table.fallback,
                    model_free=table.driver == "builtin",
                    missing=provider.variable if isinstance(provider, Unconfigured) else "",
                    max_tokens=table.max_tokens,
                    limits=Limits(
                        first_token=table.first_token_timeout_ms / 1000,
                        idle=table.idle_timeout_ms / 1000,
                        within=None if table.timeout_ms is None else table.timeout_ms / 1000,
                    ),
                )
            )
    return made


def _tasks_of(table: ProviderTable, catalog: Catalog) -> frozenset[str]:
    return frozenset(task.name for task in catalog.tasks.values() if table.name in task.providers)


def _host(table: ProviderTable) -> str:
    """Where it runs: host and port, for several behind one name are most often tunnels, or have a processor each. What
    is simulated runs nowhere, so each is alone.
    """
    if not table.url:
        return table.name
    url = urlsplit(table.url)
    return f"{url.hostname}:{url.port or (443 if url.scheme == 'https' else 80)}"


def _terms(table: ProviderTable, settings: Settings) -> Terms:
    """What this table is granted."""
    return Terms(
        breaker=BreakerRules.of(settings.breaker),
        per_task=settings.breaker.per_task,
        max_concurrent=table.max_concurrent,
        patience=settings.qos.queue_timeout_ms / 1000,
        quota=Allowed(
            requests_per_minute=table.requests_per_minute,
            tokens_per_minute=table.tokens_per_minute,
            daily_tokens=table.daily_tokens,
        ),
    )
