"""The pool's HTTP door for Python programs: whole answers, streams, its models and how it is.

async with Client("http://127.0.0.1:7071") as client:
    answer = await client.infer(task="chat", prompt="Say hello")
    async with client.stream(prompt="Tell a story") as events:
        async for event in events: ...  # leaving the block hangs up
"""

from __future__ import annotations

from collections import deque
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Self, Unpack, assert_never

from llm_pool.client.answers import Answer, Garbled, answer_of, event_of, parsed, said_of
from llm_pool.client.errors import BROKEN, ClientError
from llm_pool.client.sse import Parser, TooLong
from llm_pool.client.wire import ANSWER_LIMIT, FOREIGN, OK, Wire, told_error
from llm_pool.core.streams import Sum
from llm_pool.core.types import Finished, ReasoningDelta, TextDelta, ToolCallDelta, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    import aiohttp

    from llm_pool.client.answers import StreamEvent
    from llm_pool.client.questions import Question
    from llm_pool.client.sse import Frame

DEFAULT_URL = "http://127.0.0.1:7071"

PATIENCE = 600.0  # seconds for a whole answer that names no deadline of its own; a pool has one for each
MARGIN = 5.0  # seconds that an answer may be on its way after its deadline
SILENCE = 60.0  # seconds without a byte of a stream, whose pings come every 15
PROBE_WITHIN = 5.0  # seconds for what the pool knows by heart


class Client(AbstractAsyncContextManager["Client"]):
    """One pool. Every method raises ClientError, of which Unreachable is one kind; no other exception but a bug."""

    def __init__(self, url: str = DEFAULT_URL, *, patience: float | None = PATIENCE) -> None:
        """`patience`: seconds for a whole answer without `deadline_ms`; None: for ever. Raises ValueError: no URL."""
        self._wire = Wire(url)
        self._patience = patience

    @property
    def url(self) -> str:
        return self._wire.url

    async def __aenter__(self) -> Self:
        await self._wire.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._wire.__aexit__(kind, error, trace)

    async def infer(self, **question: Unpack[Question]) -> Answer:
        """A whole answer to one `prompt`, or to a conversation: `messages` of `{"role", "content"}`."""
        asked = _body(question)
        deadline = question.get("deadline_ms")
        within = self._patience if deadline is None else deadline / 1000 + MARGIN
        raw = await self._wire.ask("POST", "/v1/infer", body=asked, within=within)
        try:
            return answer_of(raw)
        except Garbled:
            raise self._wire.stranger(OK) from None

    def stream(self, **question: Unpack[Question]) -> Stream:
        """The same, event by event as it is said."""
        return Stream(self._wire, {**_body(question), "stream": True})

    async def models(self) -> list[str]:
        """Everything that may be named as `model`."""
        listed = (await self._wire.ask("GET", "/v1/models", within=PROBE_WITHIN)).get("data")
        if not isinstance(listed, list):
            raise self._wire.stranger(OK)
        return [str(one["id"]) for one in listed if isinstance(one, dict) and "id" in one]

    async def health(self) -> dict[str, Any]:
        """How the pool and each of its providers are: `/health/detailed` as it came."""
        return await self._wire.ask("GET", "/health/detailed", within=PROBE_WITHIN)


class Stream(AbstractAsyncContextManager["Stream"]):
    """An open answer: `Started`, deltas and more as they come, at last the whole `Answer`. One reader.

    `request_id` is known once the block is entered.
    """

    def __init__(self, wire: Wire, body: Mapping[str, Any]) -> None:
        self._wire = wire
        self._opening = wire.open("POST", "/v1/infer", body=body, silence=SILENCE)
        self._parser = Parser()
        self._frames: deque[Frame] = deque()
        self._said = Sum()
        self._length = 0
        self._finished = False
        self.request_id = ""

    async def __aenter__(self) -> Self:
        self._response: aiohttp.ClientResponse = await self._opening.__aenter__()
        if self._response.content_type != "text/event-stream":
            await self._opening.__aexit__(None, None, None)
            raise self._wire.stranger(self._response.status)
        self.request_id = self._response.headers.get("x-request-id", "")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opening.__aexit__(kind, error, trace)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        """Raises ClientError."""
        while (named := await self.next_raw()) is not None:
            name, data = named
            try:
                event = answer_of(self._whole(data)) if name == "finished" else event_of(name, data)
            except Garbled:
                raise self._broken("what came is no answer of a pool") from None
            if isinstance(event, (TextDelta, ReasoningDelta, ToolCallDelta)):
                self._keep(event)
            if event is not None:
                return event
        raise StopAsyncIteration

    async def next_raw(self) -> tuple[str, dict[str, Any]] | None:
        """The next event as the pool named and wrote it; None after the last one. Raises ClientError."""
        if self._finished:
            return None
        frame = await self._frame()
        try:
            data = parsed(frame.data)
        except Garbled:
            raise self._broken("what came is no answer of a pool") from None
        if frame.name == "error":
            told = data.get("error")
            raise told_error(told if isinstance(told, dict) else data, status=self._response.status)
        self._finished = frame.name == "finished"
        return frame.name, data

    async def _frame(self) -> Frame:
        while not self._frames:
            try:
                chunk = await self._response.content.readany()
            except FOREIGN:
                raise self._broken("the connection broke before the answer was complete") from None
            if not chunk:
                raise self._broken("the answer ended before it was complete")
            try:
                self._frames.extend(self._parser.feed(chunk))
            except TooLong:
                raise self._broken("the answer is larger than any should be") from None
        return self._frames.popleft()

    def _keep(self, event: TextDelta | ReasoningDelta | ToolCallDelta) -> None:
        self._length += _length(event)
        if self._length > ANSWER_LIMIT:
            raise self._broken("the answer is larger than any should be")
        self._said.add(event)

    def _whole(self, data: dict[str, Any]) -> dict[str, Any]:
        """As the unary answer lays it out."""
        said = self._said.answer(Finished("stop", Usage()))
        return {"request_id": data.get("request_id"), **said_of(said), **data}

    def _broken(self, why: str) -> ClientError:
        return ClientError(BROKEN, why, request_id=self.request_id, status=self._response.status)


def _length(event: TextDelta | ReasoningDelta | ToolCallDelta) -> int:
    """How much of a stream is kept for it; of an empty piece, too."""
    match event:
        case TextDelta():
            return 1 + len(event.text) + sum(1 + len(each.token) for each in event.logprobs)
        case ReasoningDelta():
            return 1 + len(event.text) + len(event.opaque)
        case ToolCallDelta():
            return 1 + len(event.id) + len(event.name) + len(event.arguments)
        case _:
            assert_never(event)


def _body(question: Question) -> dict[str, object]:
    """What was given, and nothing else: the defaults are the pool's."""
    return {name: value for name, value in question.items() if value is not None}
