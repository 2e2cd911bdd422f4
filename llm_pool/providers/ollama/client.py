"""Ask an Ollama server, over its native API. `wire_out.py` and `wire_in.py` know its words, `http.py` does the I/O."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from llm_pool.core.errors import ProviderError, ProviderUnreachable
from llm_pool.core.ports.provider import Health
from llm_pool.providers.http import LISTING_LIMIT, OK, Once, Streamed, Wire, hang_up, headers
from llm_pool.providers.ollama.models import model_names, state
from llm_pool.providers.ollama.wire_in import Decoder, failure, vectors
from llm_pool.providers.ollama.wire_out import embed_wire, load_wire, to_wire
from llm_pool.providers.translating import Asked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request

ANY_MODEL = ("*",)

HEALTH_TIMEOUT = 2.0  # seconds, for all that one look at its health asks
REFUSES_KEY = (401, 403)
PRELOAD_AGAIN = 5.0  # seconds

log = logging.getLogger("llm_pool.providers.ollama")


class Ollama:
    """One Ollama server. `models` are its own names for what it serves; `("*",)` passes any name on.

    `api_key` goes out as `Authorization: Bearer`, for servers behind a proxy that wants one. `preload` loads the models
    in the background at start; health is `loading` meanwhile. `provider`: the first part of its public model ids, which
    its reasoning is marked with.
    """

    def __init__(
        self,
        *,
        models: tuple[str, ...],
        name: str = "",
        provider: str = "ollama",
        base_url: str,
        api_key: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        num_ctx: int | None = None,
        keep_alive: str | None = None,
        preload: bool = False,
        connect_timeout: float = 3.0,  # seconds
    ) -> None:
        self._models = () if models == ANY_MODEL else models
        self._provider = provider
        self._keyed = api_key is not None
        self._settings: dict[str, Any] = {"num_ctx": num_ctx, "keep_alive": keep_alive}
        self._preload = preload
        self._preloading: asyncio.Task[None] | None = None
        self._loading: str | None = None
        self._wire = Wire(
            base_url,
            headers({"Authorization": f"Bearer {api_key}"} if api_key else {}, extra_headers or {}),
            driver="ollama",
            who=f"Ollama ({name})" if name else "Ollama",
            failure=failure,
            connect_timeout=connect_timeout,
        )

    async def __aenter__(self) -> Self:
        self._wire.connect()
        if self._preload and self._models:
            self._preloading = asyncio.create_task(self._load_all(), name="ollama preload")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._preloading is not None:
                self._preloading.cancel()
                await asyncio.wait({self._preloading})
                if not self._preloading.cancelled():
                    self._preloading.result()  # a bug must not become a silence
        finally:
            await self._wire.close()

    def chat(self, request: Request) -> Answering:
        wire, provider = self._wire, self._provider
        asked = to_wire(request, who=wire.who, provider=provider, **self._settings)
        offered = "tools" in asked.body
        return Streamed(wire, asked, Decoder(wire.who, provider=provider, tools=offered, whole=request.whole))

    def embed(self, request: Request) -> Answering:
        who = self._wire.who
        asked = embed_wire(request, who=who, **self._settings)
        return Once(self._wire, asked, partial(vectors, asked=request, who=who))

    async def health(self) -> Health:
        until = asyncio.get_running_loop().time() + HEALTH_TIMEOUT
        try:
            async with asyncio.timeout_at(until):
                status, body = await self._wire.get("/api/tags")
            if status in REFUSES_KEY:
                return Health(
                    "unhealthy", "it does not accept our key" if self._keyed else "it wants a key: set api_key"
                )
            if status != OK:
                return Health("unhealthy", f"{self._wire.who} answered {status}")
            installed = model_names(body, who=self._wire.who)
        except (TimeoutError, ProviderUnreachable):
            return Health("unhealthy", f"no answer at {self._wire.host}")
        except ProviderError as error:
            return Health("unhealthy", error.message)
        loaded = await self._loaded(until) if self._models else None
        return state(self._models, installed=installed, loaded=loaded, loading=self._loading)

    async def _loaded(self, until: float) -> frozenset[str] | None:
        """The models in memory; None where the server cannot say (old ones have no /api/ps)."""
        with suppress(TimeoutError, ProviderError):
            async with asyncio.timeout_at(until):
                status, body = await self._wire.get("/api/ps")
            if status == OK:
                return model_names(body, who=self._wire.who)
        return None

    async def _load_all(self) -> None:
        try:
            for model in self._models:
                self._loading = model
                while not await self._loads(model):  # noqa: ASYNC110 - who could set an event is another machine
                    await asyncio.sleep(PRELOAD_AGAIN)
        finally:
            self._loading = None

    async def _loads(self, model: str) -> bool:
        """Load a model; whether there is nothing more to try. A server that is not there yet may come."""
        try:
            await self._load(model)
        except ProviderUnreachable:
            return False
        except ProviderError as error:
            log.warning('could not preload "%s": %s', model, error.message)
        return True

    async def _load(self, model: str) -> None:
        response = await self._wire.open(Asked("/api/generate", load_wire(model, **self._settings), model))
        try:
            await self._wire.read(response, limit=LISTING_LIMIT)
        finally:
            hang_up(response)
