"""Ask Anthropic, or a server that speaks its Messages API. `translate.py` and `decoding.py` know the words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from llm_pool.core.errors import ProviderError, ProviderUnreachable
from llm_pool.core.ports.provider import Health
from llm_pool.providers.anthropic.decoding import Decoder, counted
from llm_pool.providers.anthropic.statuses import LACKING, count_failure, failure, state
from llm_pool.providers.anthropic.translate import BETA, count_wire, to_wire
from llm_pool.providers.http import OK, Once, Streamed, Wire, headers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Finished, Request

VERSION = "2023-06-01"
ANY_MODEL = ("*",)

HEALTH_TIMEOUT = 2.0  # seconds
LISTING = "/v1/models?limit=1000"  # as many as it lists at a time
REFUSES_KEY = (401, 403)


class Anthropic:
    """One such server. `models` are its own names for what it serves; `("*",)` passes any name on.

    `api_key` goes out as `x-api-key`. `provider` is the first part of its models' ids here: whose reasoning it sends
    back. `extra_headers` such as `anthropic-beta`, which what a call says joins.
    """

    def __init__(
        self,
        *,
        models: tuple[str, ...],
        name: str = "",
        provider: str = "anthropic",
        base_url: str,
        api_key: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        connect_timeout: float = 3.0,  # seconds
    ) -> None:
        self._models = () if models == ANY_MODEL else models
        self._provider = provider
        self._betas = tuple([said for name, said in (extra_headers or {}).items() if name.lower() == BETA])
        self._keyed = api_key is not None
        self._wire = Wire(
            base_url.rstrip("/").removesuffix("/v1"),
            headers(
                {"anthropic-version": VERSION} | ({"x-api-key": api_key} if api_key else {}),
                extra_headers or {},
            ),
            driver="anthropic",
            who=f"Anthropic ({name})" if name else "Anthropic",
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
        who = self._wire.who
        asked = to_wire(request, who=who, provider=self._provider, betas=self._betas)
        decoder = Decoder(who, provider=self._provider, model=asked.model, whole=request.whole)
        return Streamed(self._wire, asked, decoder)

    def count(self, request: Request) -> Answering:
        """It fails with Unsupported where the server has no such path."""
        asked = count_wire(request, who=self._wire.who, provider=self._provider, betas=self._betas)
        return Once(self._wire, asked, self._counted, count_failure)

    def _counted(self, body: bytes) -> Finished:
        return counted(body, who=self._wire.who)

    async def health(self) -> Health:
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT):
                status, body = await self._wire.get(LISTING)
            if status in REFUSES_KEY:
                return Health(
                    "unhealthy", "it does not accept our key" if self._keyed else "it wants a key: set api_key"
                )
            if status in LACKING:
                return Health("healthy")
            if status != OK:
                return Health("unhealthy", f"{self._wire.who} answered {status}")
            return state(self._models, body, who=self._wire.who)
        except (TimeoutError, ProviderUnreachable):
            return Health("unhealthy", f"no answer at {self._wire.host}")
        except ProviderError as error:
            return Health("unhealthy", error.message)
