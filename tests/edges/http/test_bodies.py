"""What the body of `POST /v1/infer` may not be: each refusal names its field, none says what went wrong inside."""

from __future__ import annotations

import asyncio
import io
import statistics
from typing import Any

import orjson
import pytest

from tests.running import SIM, Up, raw, running_pool

pytestmark = pytest.mark.real_time

JSON = {"Content-Type": "application/json"}

# Words of libraries, which a caller must never read.
FOREIGN = (b"pydantic", b"Traceback", b"ValidationError", b"Error:", b"line 1, in", b"0x")

# body -> the field that is named ("": none), and part of the message
REFUSED: dict[str, tuple[bytes, str, str]] = {
    "an unknown field": (b'{"prompt": "hi", "api_base": "http://evil"}', "api_base", "api_base: unknown field"),
    "a field with a strange name": (b'{"prompt": "hi", "a\\nb": 1}', "a?b", "unknown field"),
    "a wrong type": (b'{"prompt": 7}', "prompt", "prompt: input should be a valid string"),
    "a number as text": (b'{"prompt": "hi", "max_tokens": "7"}', "max_tokens", "valid integer"),
    "false for a number": (b'{"prompt": "hi", "max_tokens": false}', "max_tokens", "valid integer"),
    "true for a temperature": (b'{"prompt": "hi", "temperature": true}', "temperature", "valid number"),
    "1 for a truth": (b'{"prompt": "hi", "stream": 1}', "stream", "valid boolean"),
    "a fraction": (b'{"prompt": "hi", "max_tokens": 1.5}', "max_tokens", "valid integer"),
    "NaN": (b'{"prompt": "hi", "temperature": NaN}', "temperature", "finite number"),
    "Infinity": (b'{"prompt": "hi", "temperature": Infinity}', "temperature", "finite number"),
    "1e999": (b'{"prompt": "hi", "temperature": 1e999}', "temperature", "finite number"),
    "a huge number": (b'{"prompt": "hi", "max_tokens": 1%b}' % (b"0" * 5000), "", "not valid JSON"),
    "a field of a message": (b'{"messages": [{"role": "user", "content": 1}]}', "messages.0.content", "valid string"),
    "an unknown field of a message": (
        b'{"messages": [{"role": "user", "content": "hi", "name": "x"}]}',
        "messages.0.name",
        "messages.0.name: unknown field",
    ),
    "no messages": (b'{"messages": []}', "messages", "messages"),
    "meta that is not text": (
        b'{"prompt": "hi", "meta": {"a": 1}}',
        "meta.a",
        "meta.a: input should be a valid string",
    ),
    "an empty name": (b'{"prompt": "hi", "task": ""}', "task", "at least 1 character"),
    "many problems": (
        orjson.dumps({"prompt": "hi", **{f"x{index}": 1 for index in range(50)}}),
        "x0",
        "x4: unknown field (and 45 more)",
    ),
    "5,000 levels": (b'{"meta": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001, "", "not valid JSON"),
    "5,000 levels of an unknown field": (b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "", "not valid JSON"),
    "half a surrogate": (b'{"prompt": "\\ud800"}', "", "not valid JSON"),
    "invalid UTF-8": (b'{"prompt": "\xff\xfe"}', "", "not valid JSON"),
    "nothing": (b"", "", "not valid JSON"),
    "half of it": (b'{"prompt": "h', "", "not valid JSON"),
    "more than one": (b'{"prompt": "hi"} {"prompt": "ho"}', "", "not valid JSON"),
    "a list": (b'[{"prompt": "hi"}]', "", "the body must be a JSON object"),
    "null": (b"null", "", "the body must be a JSON object"),
    "a text": (b'"hi"', "", "the body must be a JSON object"),
}


async def test_a_wrong_body_is_refused_by_the_name_of_what_is_wrong(subtests: pytest.Subtests) -> None:
    """400 with the field, a message that a person can act on, and nothing of what was sent nor of what parsed it."""
    async with running_pool(SIM) as up:
        for name, (body, field, says) in REFUSED.items():
            with subtests.test(case=name):
                async with up.http.post("/v1/infer", data=body, headers=JSON) as response:
                    text = await response.read()
                error = orjson.loads(text)["error"]
                assert (response.status, error["code"]) == (400, "INVALID_REQUEST")
                assert says in error["message"]
                assert error["details"] == ({"field": field} if field else {})
                assert error["request_id"] == response.headers["x-request-id"]
                assert len(text) < 1024
                assert not any(foreign in text for foreign in FOREIGN), text
        lines = await up.lines(len(REFUSED))
    assert {(line["status"], line["outcome"]) for line in lines} == {(400, "INVALID_REQUEST")}


async def test_of_two_equal_names_the_last_one_counts() -> None:
    """As in every JSON reader that people use."""
    async with running_pool(SIM) as up:
        answer = await ask(up, b'{"prompt": "a b c", "prompt": "one"}')
    assert answer["usage"]["input_tokens"] == 1


async def test_white_space_and_escapes_are_json_too() -> None:
    async with running_pool(SIM) as up:
        answer = await ask(up, b'\n { "prompt" :\t"\\u0068i \\ud83d\\ude00" }\n')
    assert answer["content"] == "One two three four five."


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "br"},
    ],
    ids=str,
)
async def test_only_json_as_it_is_gets_in(headers: dict[str, str]) -> None:
    """What a form of a web page may send without asking is refused; so is what would have to be unpacked."""
    async with running_pool(SIM) as up:
        sent = [f"{name}: {value}".encode() for name, value in headers.items()]
        async with up.connect() as bare:
            await bare.say(b"\r\n".join([b"POST /v1/infer HTTP/1.1", b"Host: localhost", b"Content-Length: 16", *sent]))
            await bare.say(b'\r\n\r\n{"prompt": "hi"}')
            reply = await bare.reply()
        lines = await up.lines(1)
    assert reply.status == 415
    assert orjson.loads(reply.body)["error"]["code"] == "UNSUPPORTED_MEDIA_TYPE"
    assert (lines[0]["status"], lines[0]["outcome"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_json_may_say_that_it_is_utf_8() -> None:
    async with running_pool(SIM) as up:
        headers = {"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "identity"}
        async with up.http.post("/v1/infer", data=b'{"prompt": "hi"}', headers=headers) as response:
            assert response.status == 200


# --- Size -------------------------------------------------------------------------------------------------------

SMALL = f"server.max_body_bytes = 65_536\n{SIM}"


async def test_a_body_that_says_it_is_too_large_is_refused_unread() -> None:
    """Twenty megabytes and one byte: the answer is there before any of them."""
    async with running_pool(SIM) as up, up.connect() as bare:
        await bare.post(b"", length=20 * 1024 * 1024 + 1)
        reply = await bare.reply()
        lines = await up.lines(1)
    assert reply.status == 413
    assert orjson.loads(reply.body)["error"]["message"] == "the body must be at most 20971520 bytes"
    assert lines[0]["outcome"] == "BODY_TOO_LARGE"


async def test_a_body_in_chunks_is_refused_where_it_becomes_too_large() -> None:
    """It does not say how long it will be, and would go on for ever."""
    async with running_pool(SMALL) as up, up.connect() as bare:
        await bare.say(
            b"POST /v1/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(9):  # of 8 KB each, the ninth is one too many; the last chunk never comes
            await bare.say(b"2000\r\n" + b" " * 8192 + b"\r\n")
        reply = await bare.reply()
        lines = await up.lines(1)
    assert reply.status == 413
    error = orjson.loads(reply.body)["error"]
    assert (error["code"], error["message"]) == ("BODY_TOO_LARGE", "the body must be at most 65536 bytes")
    assert lines[0]["outcome"] == "BODY_TOO_LARGE"


async def test_a_body_of_just_the_size_is_taken() -> None:
    body = b'{"prompt": "hi"}'
    async with running_pool(SMALL) as up:
        full = body + b" " * (65_536 - len(body))
        assert (await ask(up, full))["finish_reason"] == "stop"
        async with up.http.post("/v1/infer", data=chunks(full), headers=JSON) as response:
            assert response.status == 200
        async with up.http.post("/v1/infer", data=full + b" ", headers=JSON) as response:
            assert response.status == 413


async def test_a_body_that_ends_too_soon_is_a_caller_who_left() -> None:
    async with running_pool(SIM) as up:
        async with up.connect() as bare:
            await bare.post(b'{"prompt"', length=16)
            await asyncio.sleep(0.05)
        lines = await up.lines(1)
    assert (lines[0]["status"], lines[0]["outcome"]) == (499, "CANCELLED")


async def test_large_bodies_do_not_hold_up_the_others() -> None:
    """While 16 MB of messages are read, others are answered: nine of ten within a tenth of a second."""
    messages = [{"role": "user", "content": "word " * 3_200} for _ in range(1000)]
    body = orjson.dumps({"messages": messages, "task": "unknown"})  # refused once it is read: nothing else takes time
    assert len(body) > 16_000_000
    took: list[float] = []
    async with running_pool(SIM) as up:

        async def large() -> int:
            async with up.http.post("/v1/infer", data=io.BytesIO(body), headers=JSON) as response:
                return response.status

        for _ in range(3):
            asking = asyncio.create_task(large())
            while not asking.done():
                took.append(await livez(up))
            assert await asking == 404
    assert statistics.quantiles(took, n=10)[8] < 0.1


async def livez(up: Up) -> float:
    """Seconds that an answer takes."""
    loop = asyncio.get_running_loop()
    async with raw(up.http_address) as bare:
        started = loop.time()
        await bare.say(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await bare.reply()).status == 200
        return loop.time() - started


async def ask(up: Up, body: bytes) -> dict[str, Any]:
    async with up.http.post("/v1/infer", data=body, headers=JSON) as response:
        assert response.status == 200
        answer: dict[str, Any] = orjson.loads(await response.read())
        return answer


async def chunks(body: bytes) -> Any:
    for start in range(0, len(body), 8192):
        yield body[start : start + 8192]
