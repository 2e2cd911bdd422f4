"""`llm-pool models list`: what the pool serves and how it is, for people, for programs and for pipes."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from llm_pool.cli import codes
from llm_pool.cli.calling import called
from llm_pool.cli.output import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_pool.cli.output import Screen
    from llm_pool.client import Client

SHADES = {"healthy": "green", "loading": "yellow", "degraded": "yellow", "unhealthy": "red"}


def listed(screen: Screen, *, url: str, as_json: bool) -> int:
    """A table at a terminal, else plain ids, one a line. Gives the exit code."""
    return called(url, screen, partial(_listed, screen=screen, as_json=as_json))


async def _listed(client: Client, *, screen: Screen, as_json: bool) -> int:
    ids, health = await asyncio.gather(client.models(), client.health())
    tables = health.get("providers")
    served = {model: _serving(model, tables) for model in [*ids, *_wildcards(tables)]}
    if as_json:
        screen.json([{"id": model, "providers": providers} for model, providers in served.items()], indent=2)
    elif screen.out_terminal:
        _tabulate(served, screen)
    else:
        for model in ids:
            screen.line(model)
    return codes.OK


def _wildcards(providers: object) -> list[str]:
    """`<provider>/*` of those that take any name: no model that could be asked for, but they have a state, too."""
    tables: Mapping[str, Any] = providers if isinstance(providers, dict) else {}
    listed = [table.get("models") for table in tables.values() if isinstance(table, dict)]
    models = [str(model) for one in listed if isinstance(one, list) for model in one]
    return list(dict.fromkeys(model for model in models if model.endswith("/*")))


def _serving(model: str, providers: object) -> dict[str, dict[str, str]]:
    """State and reason of each provider that serves this model, by its name."""
    tables: Mapping[str, Any] = providers if isinstance(providers, dict) else {}
    return {
        name: {"state": str(table.get("state", "")), "why": str(table.get("why", ""))}
        for name, table in tables.items()
        if isinstance(table, dict) and isinstance(table.get("models"), list) and model in table["models"]
    }


def _tabulate(served: Mapping[str, Mapping[str, Mapping[str, str]]], screen: Screen) -> None:
    """Models with those who serve them, and how they are; what else may be named, below."""
    from rich.console import Console  # noqa: PLC0415 - only for the table
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("model", "provider", "state", "why"):
        table.add_column(heading, overflow="fold")
    for model, providers in served.items():
        for name, how in providers.items():
            state, why = clean(how["state"]), clean(how["why"])
            table.add_row(Text(clean(model)), Text(clean(name)), Text(state, SHADES.get(state, "")), Text(why, "dim"))
    Console(highlight=False, emoji=False).print(table)
    others = [model for model, providers in served.items() if not providers]
    if others:
        screen.note(f"also as --model: {', '.join(others)}")
