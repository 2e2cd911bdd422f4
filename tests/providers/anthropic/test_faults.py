"""Whatever goes wrong with Anthropic or on the way to it is one error of ours, and nothing stays open."""

from __future__ import annotations

import orjson
import pytest

from llm_pool.core.errors import (
    ContextTooLong,
    ProviderError,
    ProviderGarbled,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnreachable,
    RequestRefused,
    StreamBroken,
    Unsupported,
)
from llm_pool.core.ports.provider import Health
from llm_pool.core.types import Event, Started, TextDelta
from llm_pool.providers.anthropic.client import Anthropic
from llm_pool.providers.anthropic.statuses import count_failure, failure
from tests.fakes.anthropic import FakeAnthropic, Script, error, frame
from tests.providers.anthropic.asking import OLD, ask, hear, provider, request
from tests.providers.ollama.asking import until

pytestmark = pytest.mark.real_time

OVERLOADED = frame(error("overloaded_error"))


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (Script(cut_after=3), StreamBroken, 3),
        (Script(cut_after=5), StreamBroken, 5),
        (Script(cut_after_bytes=40), ProviderUnreachable, 0),
        (Script(stop=False), StreamBroken, 5),
        (Script(inserted=OVERLOADED, inserted_after=2), StreamBroken, 2),
        (Script(inserted=OVERLOADED, inserted_after=5), StreamBroken, 5),
        (Script(inserted=OVERLOADED, inserted_after=-1), ProviderOverloaded, 0),
        (Script(inserted=OVERLOADED, inserted_after=0), ProviderOverloaded, 0),
        (Script(inserted=frame(error("rate_limit_error")), inserted_after=-1), ProviderLimited, 0),
        (Script(inserted=b"data: {]\n\n", inserted_after=2), ProviderGarbled, 2),
        (Script(inserted=b"data: " + b"x" * 2_000_000 + b"\n\n", inserted_after=1), ProviderGarbled, 1),
        (Script(body=b"<!doctype html>\n"), ProviderUnreachable, 0),
        (Script(body=b'{"type": "message", "content": 5}'), ProviderGarbled, 0),
        (Script(body=orjson.dumps(error("overloaded_error"))), ProviderOverloaded, 0),
        (Script(body=b" ", headers={"Content-Encoding": "gzip"}), ProviderGarbled, 0),
        (Script(status=307, body=b"", headers={"Location": "/v1/other"}), ProviderRefused, 0),
        (Script.failing(400), RequestRefused, 0),
        (Script.failing(401), ProviderMisconfigured, 0),
        (Script.failing(403), ProviderMisconfigured, 0),
        (Script.failing(404), ProviderMisconfigured, 0),
        (Script.failing(413), ContextTooLong, 0),
        (Script.failing(429, retry_after="2"), ProviderLimited, 0),
        (Script.failing(500), ProviderError, 0),
        (Script.failing(529, retry_after="2"), ProviderOverloaded, 0),
        (Script(status=502, body=b"<html>secret"), ProviderError, 0),
    ],
)
async def test_every_fault_is_an_error_of_ours_after_the_words_that_came(
    script: Script, kind: type[ProviderError], words: int
) -> None:
    async with FakeAnthropic({OLD: script}) as fake:
        seen: list[Event] = []
        with pytest.raises(ProviderError) as failed:
            await hear(provider(fake, api_key="k1"), seen)
        assert type(failed.value) is kind
        assert failed.value.retry_after == (2.0 if script.status in {429, 529} else None)
        for secret in ("127.0.0.1", "secret", "k1"):
            assert secret not in failed.value.message
        texts = [event for event in seen if isinstance(event, TextDelta)]
        assert len(texts) == words
        assert [event for event in seen if event not in texts] in ([], [Started(OLD, "anthropic")])
        assert len(fake.asked()) == 1
        await until(lambda: fake.open_streams == 0)


async def test_a_stream_cut_at_any_byte_is_never_taken_for_an_answer() -> None:
    async with FakeAnthropic() as fake, provider(fake) as anthropic:
        whole = len(Script.saying("Hé you").stream())
        for cut in range(1, whole - 60, 17):
            fake.scripts[OLD].clear()
            fake.scripts[OLD].append(Script.saying("Hé you", cut_after_bytes=cut))
            with pytest.raises((StreamBroken, ProviderUnreachable)):
                await ask(anthropic)
        await until(lambda: fake.open_streams == 0)
        assert fake.left_at == []


async def test_a_server_that_is_not_there_is_unreachable_and_only_health_names_its_address() -> None:
    async with FakeAnthropic() as fake:
        url = fake.url
    async with Anthropic(models=(OLD,), base_url=url) as anthropic:
        with pytest.raises(ProviderUnreachable, match="Anthropic does not answer"):
            await ask(anthropic)
        assert await anthropic.health() == Health("unhealthy", "no answer at " + url.removeprefix("http://"))


async def test_text_that_no_json_can_carry_is_refused_before_anything_is_sent() -> None:
    async with FakeAnthropic() as fake, provider(fake) as anthropic:
        with pytest.raises(ProviderRefused):
            await ask(anthropic, request("\ud800"))
        assert not fake.received


async def test_a_count_that_fails_is_an_error_of_ours_too() -> None:
    async with FakeAnthropic() as fake, provider(fake, name="one") as anthropic:
        fake.statuses["/v1/messages/count_tokens"] = 529
        with pytest.raises(ProviderOverloaded, match=r"Anthropic \(one\) is overloaded \(529, overloaded_error\)"):
            async with anthropic.count(request()):
                pass


COUNTS = "/v1/messages/count_tokens"


def counting(status: int, said: bytes) -> ProviderError:
    return count_failure(status, said, who="Anthropic", model=OLD, wait=None)


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_server_that_has_no_path_to_count_says_so_and_not_that_it_is_broken(status: int) -> None:
    async with FakeAnthropic() as fake, provider(fake) as anthropic:
        fake.statuses[COUNTS] = status
        with pytest.raises(Unsupported, match=rf"^Anthropic does not count tokens \({status}\)$"):
            async with anthropic.count(request()):
                pass


@pytest.mark.parametrize("said", [b"", b"<html>404: the model page", b'{"detail":"Not Found"}', b"[]"])
def test_whatever_a_server_says_of_a_path_that_it_lacks(said: bytes) -> None:
    assert type(counting(404, said)) is Unsupported


def test_a_count_for_a_model_that_is_not_there_is_no_lack_of_a_path() -> None:
    for said in (error("not_found_error", f"model: {OLD}"), {"error": f'Model "{OLD}" not found'}):
        assert type(counting(404, orjson.dumps(said))) is ProviderMisconfigured
    assert type(counting(500, b"")) is ProviderError


def test_a_count_of_images_that_a_model_cannot_see_is_the_callers_mistake() -> None:
    said = error("server_error", "image input is not supported - hint: if this is unexpected, ...")
    assert type(counting(500, orjson.dumps(said))) is RequestRefused


# --- What errors mean -------------------------------------------------------------------------------------------


def meaning(status: int, kind: str, message: str = "secret", wait: float | None = 3.0) -> ProviderError:
    said = orjson.dumps(error(kind, message))
    return failure(status, said, who="Anthropic", model=OLD, wait=wait)


@pytest.mark.parametrize(
    ("status", "kind", "message", "ours"),
    [
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", ContextTooLong),
        (400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 2", ContextTooLong),
        (400, "exceed_context_size_error", "request exceeds the available context size", ContextTooLong),
        (413, "request_too_large", "Request exceeds the maximum size", ContextTooLong),
        (413, "", "a proxy's", RequestRefused),
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API", ProviderLimited),
        (400, "invalid_request_error", "You have reached your specified API usage limits.", ProviderLimited),
        (400, "invalid_request_error", "messages.0: prompt is odd", RequestRefused),
        (402, "billing_error", "", ProviderLimited),
        (403, "permission_error", "prompt is too long", ProviderMisconfigured),
        (404, "not_found_error", "model: x", ProviderMisconfigured),
        (400, "overloaded_error", "", ProviderOverloaded),
        (504, "timeout_error", "", ProviderTimeout),
        (503, "api_error", "", ProviderOverloaded),
        (500, "api_error", "secret", ProviderError),
        (500, "server_error", "input is too large to process. increase the physical batch size", ContextTooLong),
        (500, "server_error", "image input is not supported - hint: you need the mmproj", RequestRefused),
        (400, "invalid_request_error", "model 'secret' not found", ProviderMisconfigured),
        (418, "teapot_error", "", ProviderRefused),
    ],
)
def test_what_an_error_says_is_understood_and_not_repeated(
    status: int, kind: str, message: str, ours: type[ProviderError]
) -> None:
    failed = meaning(status, kind, message)
    assert type(failed) is ours
    assert not message or message not in failed.message
    assert (failed.retry_after == 3.0) is (ours in {ProviderLimited, ProviderOverloaded})


def test_a_type_that_is_no_identifier_is_not_repeated() -> None:
    for kind in ("api_error: the prompt was", "", "x" * 100):
        assert meaning(500, kind).message == "Anthropic failed (500)"
    for said in (b"", b"[]", b'{"error": 5}', b'{"error": {"type": {}, "message": []}}', b'{"error": "secret"}'):
        failed = failure(400, said, who="Anthropic", model=OLD, wait=None)
        assert (type(failed), "secret" in failed.message) == (RequestRefused, False)
