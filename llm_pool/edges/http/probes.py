"""How the pool is: for people, load balancers and Prometheus. No probe ever calls a provider."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from llm_pool.edges.http.guard import json
from llm_pool.edges.readiness import not_ready
from llm_pool.version import __version__

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from llm_pool.edges.readiness import Lifecycle
    from llm_pool.pool import Pool


def health(pool: Pool) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return json(summary(pool))

    return handle


def detailed(pool: Pool, lifecycle: Lifecycle) -> Handler:
    """The summary, and for each provider what it serves and why it is as it is."""
    born = time.monotonic()

    async def handle(_: web.Request) -> web.Response:
        room = pool.learned.room
        providers = {
            table.name: {
                "state": pool.how(table.name).state,
                "why": pool.how(table.name).why,
                "driver": table.driver,
                "models": [f"{table.prefix}/{model}" for model in table.served],
                "tasks": [task.name for task in pool.catalog.tasks.values() if table.name in task.providers],
                "weight": table.weight,
                "fallback": table.fallback,
                "in_flight": pool.metrics.asked[table.name],
                "deployments": [standing.snapshot() for standing in pool.learned.of(table.name)],
            }
            for table in pool.settings.providers
        }
        return json({
            **summary(pool),
            "providers": providers,
            "requests": {"under_way": room.used, "waiting": room.waiting, "limit": room.limit},
            "tasks_without_provider": pool.unserved(fallbacks=True),
            "tasks_on_fallback": pool.unserved(fallbacks=False),
            "draining": lifecycle.draining,
            "uptime_seconds": round(time.monotonic() - born, 1),
        })

    return handle


def summary(pool: Pool) -> dict[str, object]:
    """`healthy`: every task can be answered. `ok`: by a provider of its own, and no provider is in trouble."""
    states = {name: pool.how(name).state for name in pool.health.all()}
    trouble = {"unhealthy", "degraded"} & set(states.values())
    return {
        "status": "degraded" if trouble or pool.unserved(fallbacks=False) else "ok",
        "healthy": not pool.unserved(fallbacks=True),
        "providers": states,
        "version": __version__,
        "config_version": pool.version,
        "config_error": pool.config_error,
    }


def ready(pool: Pool, lifecycle: Lifecycle) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        why = not_ready(pool, lifecycle)
        return json({"status": "ok"}) if not why else json({"status": why}, status=503)

    return handle


async def live(_: web.Request) -> web.Response:
    return json({"status": "ok"})


def metrics(pool: Pool) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        text = await asyncio.to_thread(pool.metrics.render)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return handle
