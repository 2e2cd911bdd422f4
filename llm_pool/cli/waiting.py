"""Say why a first word does not come: after a second, and then every second, on a line that changes.

Asking a pool how it is costs it nothing. Whatever that answers, or does not, never disturbs the answer itself.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Self

from llm_pool.cli.output import clean
from llm_pool.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from rich.status import Status

    from llm_pool.cli.output import Screen
    from llm_pool.client import Client

PATIENCE = 1.0  # seconds before anything is said, and between two looks
LONGEST_NAME = 48  # characters; the line must fit


class Waiting(AbstractAsyncContextManager["Waiting"]):
    """Watches from the start of its block until `over`, or its end."""

    def __init__(self, client: Client, screen: Screen, *, task: str, model: str | None) -> None:
        self._client = client
        self._screen = screen
        self._task = task
        self._model = model
        self._thinking = False
        self._status: Status | None = None
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._screen.animated or (self._screen.verbose and not self._screen.quiet):
            self._begun = time.monotonic()
            self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.over()

    def thinks(self) -> None:
        """It has begun to think: that is not loading, and not yet an answer."""
        self._thinking = True

    async def over(self) -> None:
        """The first word has come, or will not: nothing more is said, and the line is gone."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        if self._status is not None:
            self._status.stop()
            self._status = None

    async def _watch(self) -> None:
        told = ""
        while True:
            await asyncio.sleep(PATIENCE)
            model = await self._loading()
            what = "thinking" if self._thinking else f"loading {model}" if model else "waiting"
            if self._screen.animated:
                self._show(f"{what}, {time.monotonic() - self._begun:.0f} s")
            elif model and model != told:
                self._screen.note(what)
                told = model

    def _show(self, text: str) -> None:
        if self._status is None:
            self._status = self._screen.err.status(text)
            self._status.start()
        else:
            self._status.update(text)

    async def _loading(self) -> str:
        """The model that is being loaded for us, as far as can be told, or ""."""
        if self._thinking:
            return ""
        try:
            health = await self._client.health()
        except ClientError:
            return ""
        providers = health.get("providers")
        return loading(providers, task=self._task, model=self._model) if isinstance(providers, dict) else ""


def loading(providers: Mapping[str, Any], *, task: str, model: str | None) -> str:
    """The name of the model that a question waits for, from the `providers` of /health/detailed; "" for none.

    A pool that counts its calls in flight knows whom it has asked; of another one we take who could be.
    """
    tables = [table for table in providers.values() if isinstance(table, dict)]
    if counted := [table for table in tables if isinstance(table.get("in_flight"), int)]:
        tables = [table for table in counted if table["in_flight"] > 0]
    for table in tables:
        models, tasks = _names(table.get("models")), _names(table.get("tasks"))
        own = bool(model) and not {model, f"{str(model).partition('/')[0]}/*"}.isdisjoint(models)
        serves = own if model and not model.startswith(("pool/", "task/")) else {task, "*"} & set(tasks)
        if table.get("state") == "loading" and (counted or serves):
            named = str(model) if own else models[0] if models else ""
            name = named.partition("/")[2]
            return clean(name if name not in {"", "*"} else "a model").replace("\n", " ")[:LONGEST_NAME]
    return ""


def _names(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
