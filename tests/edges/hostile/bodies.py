"""Bodies that nobody sends in good faith, for each door over HTTP: as bytes, by a name that says what is wrong."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import orjson

from tests.edges.hostile.doors import CHAT, COUNT, EMBEDDINGS, INFER, MESSAGES, RESPONSES
from tests.edges.hostile.rich import CANARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.edges.hostile.doors import Door, Json

DEEP = 10_000  # levels
MANY = 500_000  # elements
MB = 1_000_000
HOLE = "@hole@"  # stands in a body where bytes go that no JSON writer makes

# Raw JSON, and what is none but looks so, in the place of a text.
RAW: dict[str, bytes] = {
    "deep arrays": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "arrays without an end": b"[" * MB,
    "many numbers": b"[" + b"1," * MANY + b"1]",
    "many empty objects": b"[" + b"{}," * MANY + b"{}]",
    "many nulls": b"[" + b"null," * MANY + b"null]",
    "many lists": b"[" + b"[]," * MANY + b"[]]",
    "many texts": b"[" + b'"a",' * MANY + b'"a"]',
    "many members": b"{" + b",".join(b'"%d":1' % number for number in range(MANY // 5)) + b"}",
    "a type again and again": b"[" + b'{"type":"text","text":"a"},' * (MANY // 10) + b"{}]",
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "-Infinity": b"-Infinity",
    "beyond a double": b"1e999",
    "beyond 64 bits": b"18446744073709551616",
    "beyond 64 bits, negative": b"-9223372036854775809",
    "a hundred thousand digits": b"1" * 100_000,
    "half a surrogate": b'"\\ud800"',
    "the other half": b'"\\udc00"',
    "halves in the wrong order": b'"\\udc00\\ud800"',
    "a NUL as it is": b'"\x00"',
    "invalid UTF-8": b'"\xff\xfe\xc0\x80"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "an unknown escape": b'"\\x41"',
    "no end": b'"' + b"a" * MB,
}

# Texts that are sound JSON, however odd.
TEXTS: dict[str, str] = {
    "combining characters": "e" + "\u0301" * (MB // 2),
    "NUL characters": "\x00" * 1000 + CANARY,
    "control characters": "".join(map(chr, range(32))) + "\x7f\x85\u2028\u2029\ufeff\u202e",
    "astral characters": "\U0001f469\u200d" * 50_000,
    "one megabyte": "a" * MB,
    "lines": "data: [DONE]\n\nevent: error\r\ndata: {}\r\n\r\n",
}


def _least(door: Door, **more: Any) -> bytes:
    return orjson.dumps(door.body(**more))


def _with_hole(door: Door, raw: bytes) -> Iterator[bytes]:
    for body in door.with_text(HOLE):
        yield orjson.dumps(body).replace(b'"%b"' % HOLE.encode(), raw)


def everywhere(door: Door) -> Iterator[tuple[str, bytes]]:
    """What any door may be sent."""
    least = _least(door)
    for name, raw in RAW.items():
        for index, holed in enumerate(_with_hole(door, raw)):
            yield f"{name}, {index}", holed
        yield f"{name}, as an unknown field", least[:-1] + b',"unknown":%b}' % raw
    for name, text in TEXTS.items():
        for index, body in enumerate(door.with_text(text)):
            yield f"{name}, {index}", orjson.dumps(body)
        yield f"{name}, as a name", least[:-1] + b",%b:1}" % orjson.dumps(text)
        yield f"{name}, as a model", _least(door, model=text)
    for name in ("deep arrays", "arrays without an end", "many lists", "many texts"):
        yield f"{name}, as all of it", RAW[name]
    yield "lists to the brim", least[:-1] + b',"unknown":[%b[]]}' % (b"[]," * 6_000_000)
    yield "one name a hundred thousand times", b"{" + b'"model":"sim/m",' * 100_000 + least[1:]
    yield "a name with another case", _least(door, Model="m")
    yield "a byte order mark", b"\xef\xbb\xbf" + least
    yield "UTF-16", least.decode().encode("utf-16")
    yield "twice", least + least
    yield "white space", b" " * (5 * MB) + least
    yield "nothing", b""
    yield "cut", least[:-1]


# --- Of one door ------------------------------------------------------------------------------------------------

_PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 15_000  # 3.8 MB, 5 MB in base64
_LARGE = b64encode(_PNG).decode()
_GARBAGE = {"no base64": "%%%" * 100, "cut base64": _LARGE[:4001], "no base64 in the end": _LARGE + "*", "empty": ""}
NAMES = {
    "lines": "a\r\nx-injected: 1\n\nb",
    "NUL": "a\x00b",
    "words": CANARY,
    "a letter too many": "a" * 257,
    "nothing": "",
    "no ASCII": "ñandú",
}
_SCHEMAS: dict[str, Any] = {
    "refers to itself": {"$ref": "#"},
    "refers elsewhere": {"$ref": "http://127.0.0.1:9/schema.json"},
    "refers to a file": {"$ref": "file:///etc/passwd"},
    "refers to nothing": {"$ref": "#/nowhere"},
    "an expensive pattern": {"properties": {"city": {"pattern": "(.+)+n$"}}},
    "a huge repetition": {"type": "string", "pattern": "((a{1000}){1000}){1000}"},
    "no pattern": {"type": "string", "pattern": "("},
    "no type": {"type": CANARY},
    "a hundred thousand types": {"type": [1] * 120_000},
    "too large": {"enum": ["a" * 300_000]},
    "many alternatives": {"anyOf": [{"const": number} for number in range(20_000)]},
    "many levels": None,  # made below: it is too deep for a writer of JSON
}
_LEVELS = b'{"items":' * 2_000 + b"{}" + b"}" * 2_000

_TOOLS: dict[Door, Callable[[str, Any], Json]] = {
    INFER: lambda name, schema: {"name": name, "parameters": schema},
    CHAT: lambda name, schema: {"type": "function", "function": {"name": name, "parameters": schema}},
    RESPONSES: lambda name, schema: {"type": "function", "name": name, "parameters": schema},
    MESSAGES: lambda name, schema: {"name": name, "input_schema": schema},
    COUNT: lambda name, schema: {"name": name, "input_schema": schema},
}
_FORMATS: dict[Door, Callable[[Any], Json]] = {
    INFER: lambda schema: {"response_schema": schema},
    CHAT: lambda schema: {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}},
    RESPONSES: lambda schema: {"text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}},
    MESSAGES: lambda schema: {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
    COUNT: lambda schema: {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
}
_IMAGES: dict[Door, Callable[[str, str], Json]] = {
    INFER: lambda kind, data: {"messages": [_user("parts", {"image": {"media_type": kind, "data": data}})]},
    CHAT: lambda kind, data: {
        "messages": [_user("content", {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}})]
    },
    RESPONSES: lambda kind, data: {
        "input": [_user("content", {"type": "input_image", "image_url": f"data:{kind};base64,{data}"})]
    },
    MESSAGES: lambda kind, data: {"messages": [_user("content", _image(kind, data))]},
    COUNT: lambda kind, data: {"messages": [_user("content", _image(kind, data))]},
}


def _user(where: str, part: Json) -> Json:
    return {"role": "user", where: [part]}


def _image(kind: str, data: str) -> Json:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def talking(door: Door) -> Iterator[tuple[str, bytes]]:
    """What only a door may be sent at which one talks."""
    object_: Json = {"type": "object"}
    for name, tool in NAMES.items():
        yield f"a tool's name: {name}", _least(door, tools=[_TOOLS[door](tool, object_)])
    yield "one tool twice", _least(door, tools=[_TOOLS[door]("a", object_)] * 2)
    for count in (512, 2_048, 10_000):
        yield f"{count} tools", _least(door, tools=[_TOOLS[door](f"t{number}", object_) for number in range(count)])
    for name, schema in _SCHEMAS.items():
        raw = orjson.dumps(schema) if schema is not None else _LEVELS
        for where, body in (("answers", _FORMATS[door](HOLE)), ("tools", {"tools": [_TOOLS[door]("a", HOLE)]})):
            yield f"a schema of {where}: {name}", _least(door, **body).replace(b'"%b"' % HOLE.encode(), raw)
    yield "an image of 5 MB", _least(door, **_IMAGES[door]("image/png", _LARGE))
    yield "an image of another kind", _least(door, **_IMAGES[door]("text/html\r\nx: y", _LARGE[:4000]))
    for name, data in _GARBAGE.items():
        yield f"an image: {name}", _least(door, **_IMAGES[door]("image/png", data))
    yield from _long(door)
    for name, each in NAMES.items():
        yield f"a call's id: {name}", _least(door, **_called(door, each))


def _long(door: Door) -> Iterator[tuple[str, bytes]]:
    where = "input" if door is RESPONSES else "messages"
    turns: list[Json] = [{"role": "user", "content": "a" * 160}, {"role": "assistant", "content": "b" * 160}]
    yield "10,000 messages", _least(door, **{where: turns * 5_000})
    yield "100,000 messages", _least(door, **{where: turns * 50_000})
    yield "100,000 wrong messages", _least(door, **{where: [{"role": "robot", "content": 1}] * 100_000})
    yield "one wrong among 10,000", _least(door, **{where: [*turns * 4_999, {"role": "user", "content": 1}]})


def _called(door: Door, name: str) -> Json:
    """A call whose id this is, and its result."""
    if door is INFER:
        calls: Json = {"role": "assistant", "parts": [{"tool_call": {"id": name, "name": "a", "arguments": name}}]}
        return {"messages": [calls, {"role": "tool", "parts": [{"tool_result": {"call_id": name, "content": ""}}]}]}
    if door is CHAT:
        call = {"id": name, "type": "function", "function": {"name": "a", "arguments": name}}
        told: Json = {"role": "tool", "tool_call_id": name, "content": ""}
        return {"messages": [{"role": "assistant", "tool_calls": [call]}, told]}
    if door is RESPONSES:
        item = {"type": "function_call", "call_id": name, "name": "a", "arguments": name}
        return {"input": [item, {"type": "function_call_output", "call_id": name, "output": ""}]}
    use = {"type": "tool_use", "id": name, "name": "a", "input": {}}
    result = {"type": "tool_result", "tool_use_id": name}
    return {
        "messages": [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}],
        "tools": [_TOOLS[door]("a", {"type": "object"})],
    }


def embedding(door: Door) -> Iterator[tuple[str, bytes]]:
    """What only the door of vectors may be sent."""
    yield "2,048 texts", _least(door, input=["a"] * 2_048)
    yield "a text too many", _least(door, input=["a"] * 2_049)
    yield "half a million tokens", _least(door, input=[1] * MANY)
    yield "a token too large", _least(door, input=[2**40])
    yield "texts and tokens", _least(door, input=["a", 1])
    yield "2,048 long texts", _least(door, input=["a" * 8_000] * 2_048)


def hostile(door: Door) -> Iterator[tuple[str, bytes]]:
    yield from everywhere(door)
    yield from embedding(door) if door is EMBEDDINGS else talking(door)
