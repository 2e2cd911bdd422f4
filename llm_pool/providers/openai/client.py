"""Ask a server that speaks OpenAI's Chat Completions and Embeddings: OpenAI, OpenRouter, vLLM, llama-server and others.

`translate.py` and `answers.py` know the words, `providers/http.py` does the I/O.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from llm_pool.core.errors import ProviderError, ProviderUnreachable
from llm_pool.core.ports.provider import Health
from llm_pool.providers.http import Once, Streamed, Wire, headers
from llm_pool.providers.openai.answers import Decoder
from llm_pool.providers.openai.counting import vectors_of
from llm_pool.providers.openai.errors import failure
from llm_pool.providers.openai.models import OK, listing_of, of_status, state
from llm_pool.providers.openai.translate import Dialect, embed_wire, to_wire

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request

ANY_MODEL = ("*",)

HEALTH_TIMEOUT = 2.0  # seconds, for all that one look at its health asks
LISTED_FOR = 600.0  # seconds that OpenRouter's listing, which is long, is believed


class OpenAI:
    """One server. `models` are its own names for what it serves; `("*",)` passes any name on.

    `provider` is the first part of its public model ids; `name` is what messages call it, beside OpenAI's own or
    OpenRouter's. With `openrouter` the words are OpenRouter's; `app_url` and `app_name` are what its statistics show.
    """

    def __init__(
        self,
        *,
        models: tuple[str, ...],
        name: str = "",
        provider: str = "",
        base_url: str,
        api_key: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        openrouter: bool = False,
        app_url: str | None = None,
        app_name: str | None = None,
        connect_timeout: float = 3.0,  # seconds
    ) -> None:
        driver = "openrouter" if openrouter else "openai"
        host = (urlsplit(base_url).hostname or "").lower()
        official = host == "api.openai.com" or host.endswith(".api.openai.com")
        self._models = () if models == ANY_MODEL else models
        self._keyed = api_key is not None
        self._lists_all = not host.endswith(".azure.com")
        self._loads = not (official or openrouter)
        self._listed: tuple[float, Health] | None = None  # OpenRouter's listing: when it was read, and what it says
        who = _who(name, "OpenRouter" if openrouter else "OpenAI" if official else "")
        self._dialect = Dialect(who, provider or driver, official=official, openrouter=openrouter)
        ours = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        if openrouter:
            ours |= {header: said for header, said in (("HTTP-Referer", app_url), ("X-Title", app_name)) if said}
        self._wire = Wire(
            base_url,
            headers(ours, extra_headers or {}),
            driver=driver,
            who=who,
            failure=failure,
            connect_timeout=connect_timeout,
        )

    async def __aenter__(self) -> Self:
        self._wire.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._wire.close()

    def chat(self, request: Request) -> Answering:
        asked = to_wire(request, self._dialect)
        dialect = self._dialect
        return Streamed(
            self._wire,
            asked,
            Decoder(dialect.who, model=asked.model, provider=dialect.provider, whole=request.whole),
        )

    def embed(self, request: Request) -> Answering:
        asked = embed_wire(request, self._dialect)
        count, size = len(request.inputs), request.dimensions
        decode = partial(vectors_of, count=count, dimensions=size, who=self._dialect.who, model=asked.model)
        return Once(self._wire, asked, decode)

    async def health(self) -> Health:
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT):
                return await (self._openrouter() if self._dialect.openrouter else self._listing())
        except (TimeoutError, ProviderUnreachable):
            return Health("unhealthy", f"no answer at {self._wire.host}")
        except ProviderError as error:
            return Health("unhealthy", error.message)

    async def _openrouter(self) -> Health:
        """Its listing is public: only `/key` tells whether it knows ours."""
        status, _ = await self._wire.get("/key")
        if ill := self._of_status(status):
            return ill
        now = asyncio.get_running_loop().time()
        if self._models and (self._listed is None or now >= self._listed[0] + LISTED_FOR):
            health = await self._listing()
            if health.state != "healthy" and not health.absent:  # no listing came
                return health
            self._listed = now, health
        return self._listed[1] if self._listed is not None else Health("healthy")

    async def _listing(self) -> Health:
        status, body = await self._wire.get("/models")
        if ill := self._of_status(status):
            return ill
        if status != OK:
            return Health("healthy")
        listing = listing_of(body, who=self._dialect.who)
        if listing.llama:
            # It has no such path: a refused key and a model that is loading are what it looks at before.
            status, _ = await self._wire.get("/props")
            if ill := self._of_status(status):
                return ill
        return state(self._models if self._lists_all else (), listing, openrouter=self._dialect.openrouter)

    def _of_status(self, status: int) -> Health | None:
        return of_status(status, who=self._dialect.who, keyed=self._keyed, loads=self._loads)


def _who(name: str, kind: str) -> str:
    """A server that only speaks as OpenAI does is not called so: whoever reads it would look in the wrong place."""
    if kind and name:
        return f"{kind} ({name})"
    return kind or name or "an OpenAI-compatible server"
