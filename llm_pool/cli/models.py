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
    states = {model: _states(model, health.get("providers")) for model in ids}
    if as_json:
        screen.json([{"id": model, "providers": providers} for model, providers in states.items()], indent=2)
    elif screen.out_terminal:
        _tabulate(states, screen)
    else:
        for model in ids:
            screen.line(model)
    return codes.OK


def _states(model: str, providers: object) -> dict[str, str]:
    """The state of each provider that serves this model, by its name."""
    tables: Mapping[str, Any] = providers if isinstance(providers, dict) else {}
    return {
        name: str(table.get("state", ""))
        for name, table in tables.items()
        if isinstance(table, dict) and isinstance(table.get("models"), list) and model in table["models"]
    }


def _tabulate(states: Mapping[str, Mapping[str, str]], screen: Screen) -> None:
    """Models with the state of those who serve them; what else may be named, below."""
    from rich.console import Console  # noqa: PLC0415 - only for the table
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("model", "provider", "state"):
        table.add_column(heading, overflow="fold")
    for model, providers in states.items():
        for name, state in providers.items():
            table.add_row(*(Text(clean(text)) for text in (model, name)), Text(clean(state), SHADES.get(state, "")))
    Console(highlight=False, emoji=False).print(table)
    others = [model for model, providers in states.items() if not providers]
    if others:
        screen.note(f"also as --model: {', '.join(others)}")
