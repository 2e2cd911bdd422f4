"""Ask a question over HTTP and over gRPC, whole and as a stream, and put what was said into the same words."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from llm_pool.core import errors
from llm_pool.edges.status import ROW
from llm_pool.v1 import pool_service_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from tests.running import Up


@dataclass(frozen=True)
class Said:
    """What one edge said: the answer or the error, and the events before it."""

    answer: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    status: int = 200  # of HTTP; for gRPC, the one that its code stands beside in the table of errors
    events: tuple[tuple[str, dict[str, Any]], ...] = ()


# What JSON leaves out where it is empty, and protobuf does not tell from what is absent; by the event, or of an answer.
UNSAID: dict[str, dict[str, Any]] = {
    "answer": {"reasoning": "", "reasoning_parts": [], "tool_calls": [], "logprobs": [], "stopped_by": ""},
    "text": {"logprobs": []},
    "reasoning": {"opaque": "", "redacted": False, "provider": ""},
    "finished": {"stopped_by": ""},
}


# --- HTTP -------------------------------------------------------------------------------------------------------


async def http_whole(up: Up, ask: dict[str, Any]) -> Said:
    async with up.http.post("/v1/infer", json=ask) as response:
        told = await response.json()
        if response.status != 200:
            return Said(error=error_of(told, response.headers["x-request-id"]), status=response.status)
        assert told["request_id"] == response.headers["x-request-id"]
        return Said(answer=plain({**UNSAID["answer"], **told}, ask))


async def http_stream(up: Up, ask: dict[str, Any]) -> Said:
    async with up.http.post("/v1/infer", json={**ask, "stream": True}) as response:
        if response.status != 200:
            return Said(error=error_of(await response.json(), response.headers["x-request-id"]), status=response.status)
        frames = (await response.text()).split("\n\n")
    assert frames.pop() == ""
    events: list[tuple[str, dict[str, Any]]] = []
    for frame in frames:
        match = re.fullmatch(r"event: ([a-z_]+)\ndata: (\{.*\})", frame)
        assert match, frame
        events.append((match[1], {**UNSAID.get(match[1], {}), **json.loads(match[2])}))
    if events[-1][0] != "error":
        return Said(events=tuple((name, plain(data, ask)) for name, data in events))
    (_, last) = events.pop()
    error = error_of(last, response.headers["x-request-id"])
    return Said(error=error, status=502, events=tuple((name, plain(data, ask)) for name, data in events))


def error_of(told: dict[str, Any], request_id: str) -> dict[str, Any]:
    assert list(told) == ["error"]
    error: dict[str, Any] = told["error"]
    assert set(error) == {"code", "message", "request_id", "details"}
    assert error.pop("request_id") == request_id
    return error


# --- gRPC -------------------------------------------------------------------------------------------------------


async def grpc_whole(up: Up, ask: dict[str, Any]) -> Said:
    try:
        return Said(answer=plain(as_json(await up.stub.Infer(pb.InferRequest(**in_proto(ask)))), ask))
    except grpc.aio.AioRpcError as error:
        return Said(**failed(error))


async def grpc_stream(up: Up, ask: dict[str, Any]) -> Said:
    events = []
    try:
        async for response in up.stub.StreamInfer(pb.StreamInferRequest(**in_proto(ask))):
            name = str(response.WhichOneof("event"))
            events.append((name, plain(as_json(getattr(response, name)), ask)))
    except grpc.aio.AioRpcError as error:
        return Said(**failed(error), events=tuple(events))
    return Said(events=tuple(events))


def in_proto(ask: dict[str, Any]) -> dict[str, Any]:
    """The question as protobuf has it: schemas are JSON text, and bytes are bytes."""
    told = dict(ask)
    if "response_schema" in ask:
        told["response_schema"] = json.dumps(ask["response_schema"])
    if "tools" in ask:
        told["tools"] = [_tool(tool) for tool in ask["tools"]]
    if "messages" in ask:
        told["messages"] = [_message(message) for message in ask["messages"]]
    return told


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {**tool, "parameters": json.dumps(tool["parameters"])} if "parameters" in tool else tool


def _message(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "parts": [_part(part) for part in message["parts"]]} if "parts" in message else message


def _part(part: dict[str, Any]) -> dict[str, Any]:
    image = part.get("image", {})
    return {**part, "image": {**image, "data": base64.b64decode(image["data"])}} if "data" in image else part


def as_json(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def failed(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """The error as the HTTP edge would say it, and the status that it would have there."""
    trailers = dict(error.trailing_metadata() or ())
    told = Status.FromString(bytes(trailers["grpc-status-details-bin"]))
    assert grpc.StatusCode[error.code().name].value[0] == told.code
    info, violations = ErrorInfo(), BadRequest()
    assert [each.Unpack(info) for each in told.details].count(True) == 1
    details = dict(info.metadata)
    assert details.pop("request_id") == trailers["x-request-id"]
    if any(each.Unpack(violations) for each in told.details):
        assert [each.field for each in violations.field_violations] == [details["field"]]
    message = error.details() or ""
    assert told.message == message[:128].encode("ascii", "replace").decode()
    kind = next(kind for kind in kinds(errors.PoolError) if kind.reason == info.reason)
    row = next(ROW[each] for each in kind.__mro__ if each in ROW)
    assert row.grpc == error.code().name
    return {"error": {"code": info.reason, "message": message, "details": details}, "status": row.http}


def kinds(kind: type[errors.PoolError]) -> list[type[errors.PoolError]]:
    return [kind, *(below for each in kind.__subclasses__() for below in kinds(each))]


# --- Both -------------------------------------------------------------------------------------------------------

TIMES = {"duration": "duration_ms", "latency": "latency_ms", "first_token": "first_token_ms"}


def plain(told: dict[str, Any], ask: dict[str, Any]) -> dict[str, Any]:
    """An answer or event with `Duration x` as `x_ms`, and without what differs from call to call."""
    result = dict(told)
    for duration, number in TIMES.items():
        if duration in result:
            result[number] = float(str(result.pop(duration)).removesuffix("s")) * 1000
        if isinstance(result.get(number), int | float):
            assert 0 <= result[number] < 60_000
            result[number] = "a time"
        elif number in result:  # no such instant: null in JSON, absent in protobuf
            assert result.pop(number) is None
    if "request_id" in result and "request_id" not in ask:
        assert re.fullmatch("[0-9a-f]{32}", result.pop("request_id"))
    if "decision" in result:
        decision = result["decision"] = dict(result["decision"])
        decision["voices"] = [plain(voice, ask) for voice in decision["voices"]]
    return result
