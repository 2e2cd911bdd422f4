"""The official clients at each door, whole and as a stream: what they raise, and how often they have asked."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anthropic
import openai

from tests.edges.hostile.rich import CANARY
from tests.running import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.running import Up

MESSAGES: Any = [{"role": "user", "content": "hi"}]


class _OpenAI(openai.AsyncOpenAI):
    """It decides whether to ask again, and then does not wait."""

    def _calculate_retry_timeout(self, *_: Any, **__: Any) -> float:
        return 0.0


class _Anthropic(anthropic.AsyncAnthropic):
    def _calculate_retry_timeout(self, *_: Any, **__: Any) -> float:
        return 0.0


@dataclass(frozen=True)
class Raised:
    """`code` is that of OpenAI's errors. `calls`: how many of them have reached the pool."""

    kind: str
    status: int | None
    code: str | None
    type: str | None
    calls: int
    headers: Mapping[str, str] = field(compare=False)
    text: str = field(compare=False)  # all that the exception says


@dataclass(frozen=True)
class Clients:
    up: Up
    by_openai: openai.AsyncOpenAI
    by_anthropic: anthropic.AsyncAnthropic

    async def failing(self, door: str, model: str, *, stream: bool, retries: int) -> Raised:
        """Ask something at a door, which must fail."""
        before = len(self.up.access)
        try:
            await self._ask(door, model, stream, retries)
        except (openai.APIError, anthropic.APIError) as error:
            return await self._raised(error, before)
        raise AssertionError(f"{model} at {door} has not failed")

    async def refused(self, door: str, content: bytes, *, media: str, retries: int) -> Raised:
        """Send this, which must be refused."""
        before = len(self.up.access)
        client: Any = self.by_anthropic if door == "messages" else self.by_openai
        path = {"chat": "/chat/completions", "messages": "/v1/messages"}.get(door, f"/{door}")
        options: Any = {"headers": {"Content-Type": media}}
        try:
            await client.with_options(max_retries=retries).post(path, content=content, cast_to=object, options=options)
        except (openai.APIError, anthropic.APIError) as error:
            return await self._raised(error, before)
        raise AssertionError(f"{content[:80]!r} at {door} has not been refused")

    async def _ask(self, door: str, model: str, stream: bool, retries: int) -> None:
        common: Any = {"model": model, "stream": stream}
        ours = self.by_openai.with_options(max_retries=retries)
        told: Any
        match door:
            case "chat":
                told = await ours.chat.completions.create(messages=MESSAGES, **common)
            case "responses":
                told = await ours.responses.create(input="hi", **common)
            case "embeddings":
                told = await ours.embeddings.create(input="hi", model=model)
            case _:
                theirs = self.by_anthropic.with_options(max_retries=retries)
                told = await theirs.messages.create(max_tokens=16, messages=MESSAGES, **common)
        if stream:
            async for _ in told:
                pass

    async def _raised(self, error: openai.APIError | anthropic.APIError, before: int) -> Raised:
        calls = 1 + int(getattr(error.request, "headers", {}).get("x-stainless-retry-count", 0))
        await until(lambda: len(self.up.access) >= before + calls)
        response: Any = getattr(error, "response", None)
        headers: dict[str, str] = {} if response is None else dict(response.headers)
        return Raised(
            type(error).__name__,
            getattr(error, "status_code", None),
            getattr(error, "code", None),
            getattr(error, "type", None),
            len(self.up.access) - before,
            headers,
            f"{error} {error!r} {error.body!r}",
        )


def repeats(raised: Raised) -> bool:
    """Whether it says anything of what the provider said."""
    return "canary" in f"{raised.text} {raised.headers}" or CANARY in raised.text


@asynccontextmanager
async def clients_of(up: Up) -> AsyncIterator[Clients]:
    # (Not to verify saves the reading of certificates, for which there is no use here.)
    async with AsyncExitStack() as stack:
        url, common = f"http://{up.http_address}", {"api_key": "nobody looks", "timeout": 30}
        one: Any = {"base_url": f"{url}/v1", "http_client": openai.DefaultAsyncHttpxClient(verify=False), **common}
        two: Any = {"base_url": url, "http_client": anthropic.DefaultAsyncHttpxClient(verify=False), **common}
        yield Clients(
            up,
            await stack.enter_async_context(_OpenAI(**one)),
            await stack.enter_async_context(_Anthropic(**two)),
        )
