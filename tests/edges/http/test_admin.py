"""Operators open, close and reset circuit breakers over HTTP; who may not, and what everybody sees of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from prometheus_client.parser import text_string_to_metric_families

from llm_pool.v1 import pool_service_pb2 as pb
from tests.edges.both import grpc_stream, grpc_whole, http_stream, http_whole
from tests.running import SIM, Up, running_pool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.edges.both import Said

pytestmark = pytest.mark.real_time

ADMIN = "[admin]\nenabled = true\n"
TWO = """
[[providers]]
name = "two"
driver = "sim"
provider = "other"
models = ["m", "n"]
tasks = ["unheard-of"]
"""
FAILING = """
[tasks.chat]
prompt = ""
[[providers]]
name = "one"
driver = "sim"
model = "m"
sim.fail_rate = 1.0
[qos]
max_retries = 0
[breaker]
min_calls = 2
"""
PATH = "/admin/breakers/one"
ASKS: list[Callable[[Up, dict[str, Any]], Awaitable[Said]]] = [http_whole, http_stream, grpc_whole, grpc_stream]


async def post(up: Up, body: object, status: int = 200, *, path: str = PATH) -> dict[str, Any]:
    async with up.http.post(path, json=body) as response:
        told: dict[str, Any] = await response.json()
        assert response.status == status, told
        assert response.headers["x-request-id"]
        return told


async def ask(up: Up, status: int = 200, **more: object) -> dict[str, Any]:
    async with up.http.post("/v1/infer", json={"prompt": "hi", **more}) as response:
        told: dict[str, Any] = await response.json()
        assert response.status == status, told
        return told


async def states(up: Up) -> dict[tuple[str, str], float]:
    """The gauge of breakers, by deployment and model."""
    async with up.http.get("/metrics") as response:
        text = await response.text()
    return {
        (sample.labels["deployment"], sample.labels["model"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "llm_pool_breaker_state"
    }


async def deployments(up: Up, name: str = "one") -> list[dict[str, Any]]:
    async with up.http.get("/health/detailed") as response:
        told: dict[str, Any] = await response.json()
    found: list[dict[str, Any]] = told["providers"][name]["deployments"]
    return found


# --- What it does -----------------------------------------------------------------------------------------------


async def test_what_is_opened_is_not_asked_until_it_is_closed() -> None:
    async with running_pool(SIM + ADMIN) as up:
        await ask(up)
        told = await post(up, {"action": "open"})
        assert told["provider"] == "one"
        [breaker] = told["deployments"][0]["breakers"]
        assert (breaker["state"], breaker["held"], breaker["tries_again_in"]) == ("open", True, None)
        refused = await ask(up, 503)
        assert refused["error"]["code"] == "PROVIDER_UNAVAILABLE"
        assert await states(up) == {("one", "sim/m"): 2.0}
        assert [each["breakers"][0]["state"] for each in await deployments(up)] == ["open"]
        async with up.http.get("/readyz") as response:
            assert response.status == 503

        told = await post(up, {"action": "close"})
        [breaker] = told["deployments"][0]["breakers"]
        assert (breaker["state"], breaker["held"], breaker["tries_again_in"]) == ("closed", False, 0.0)
        await ask(up)
        assert await states(up) == {("one", "sim/m"): 0.0}


@pytest.mark.parametrize("section", ["", "[breaker]\nper_task = true\n"])
async def test_one_that_was_never_asked_can_be_opened(section: str) -> None:
    async with running_pool(SIM + ADMIN + section) as up:
        await post(up, {"action": "open"})
        assert (await ask(up, 503))["error"]["code"] == "PROVIDER_UNAVAILABLE"
        await post(up, {"action": "reset"})
        await ask(up)


@pytest.mark.parametrize("action", ["close", "reset"])
async def test_what_failures_have_opened_can_be_closed(action: str) -> None:
    async with running_pool(FAILING + ADMIN) as up:
        for _ in range(2):
            await ask(up, 502)
        await ask(up, 503)
        await post(up, {"action": action})
        assert await states(up) == {("one", "sim/m"): 0.0}
        await ask(up, 502)  # it is asked


@pytest.mark.parametrize("model", ["other/n", "n"])
async def test_one_of_its_models_may_be_meant(model: str) -> None:
    async with running_pool(SIM + TWO + ADMIN) as up:
        told = await post(up, {"action": "open", "model": model}, path="/admin/breakers/two")
        assert [each["model"] for each in told["deployments"]] == ["other/m", "other/n"]
        assert [[each["state"] for each in model["breakers"]] for model in told["deployments"]] == [[], ["open"]]
        await ask(up, model="other/m")
        await ask(up, 503, model="other/n")
        assert await states(up) == {("two", "other/m"): 0.0, ("two", "other/n"): 2.0}
        await post(up, {"action": "open"}, path="/admin/breakers/two")
        await ask(up, 503, model="other/m")
        await ask(up)  # of another table


async def test_each_change_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running_pool(SIM + ADMIN) as up:
        for action in ("open", "open", "close", "close", "reset"):
            await post(up, {"action": action})
    told = [record.getMessage() for record in caplog.records if "circuit breaker is" in record.getMessage()]
    assert told == ["circuit breaker is open", "circuit breaker is closed"]
    by_hand = [record for record in caplog.records if "operator" in record.getMessage()]
    assert len(by_hand) == 5
    fields = vars(by_hand[0])["fields"]
    assert (fields["deployment"], fields["action"]) == ("one", "open")
    assert fields["request_id"]


# --- Who may not ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("section", ["", "[admin]\nenabled = false\n"])
@pytest.mark.parametrize("body", [{"action": "open"}, {"action": "nonsense"}, "no object"])
async def test_it_is_off_unless_it_is_switched_on(section: str, body: object) -> None:
    async with running_pool(SIM + section) as up:
        told = await post(up, body, 404)
        assert told["error"]["code"] == "NOT_FOUND"
        assert (await post(up, body, 404, path="/admin/breakers/nobody"))["error"] | {"request_id": ""} == told[
            "error"
        ] | {"request_id": ""}  # it does not tell who is there
        await ask(up)


async def test_an_unknown_provider_is_told_the_nearest() -> None:
    async with running_pool(SIM + TWO + ADMIN) as up:
        told = await post(up, {"action": "open"}, 404, path="/admin/breakers/onne")
        assert told["error"]["code"] == "UNKNOWN_PROVIDER"
        assert told["error"]["details"]["nearest"] == "one"
        told = await post(up, {"action": "open", "model": "other/mm"}, 404, path="/admin/breakers/two")
        assert told["error"]["code"] == "UNKNOWN_MODEL"
        assert told["error"]["details"]["nearest"] == "other/m"
        assert await states(up) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"open"', b"{}", b'{"action": "opened"}', b'{"action": null}', b'{"action": 1}',
        b'{"action": "open", "more": 1}', b'{"action": "open", "model": 1}', b'\xff{"action": "open"}',
        b'{"action": "OPEN"}', b'{"action": ["open"]}',
    ],
)  # fmt: skip
async def test_a_body_that_is_wrong_changes_nothing(body: bytes) -> None:
    async with running_pool(SIM + ADMIN) as up:
        headers = {"Content-Type": "application/json"}
        async with up.http.post(PATH, data=body, headers=headers) as response:
            told = await response.json()
            assert response.status == 400, told
            assert told["error"]["code"] == "INVALID_REQUEST"
        assert await states(up) == {}
        await ask(up)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream"])
async def test_another_media_type_is_refused(kind: str) -> None:
    """A form of any web page can send these without asking."""
    async with running_pool(SIM + ADMIN) as up:
        async with up.http.post(PATH, data=b'{"action": "open"}', headers={"Content-Type": kind}) as response:
            assert response.status == 415
            assert (await response.json())["error"]["code"] == "UNSUPPORTED_MEDIA_TYPE"
        await ask(up)


async def test_a_body_that_is_too_large_is_refused() -> None:
    async with running_pool(SIM + ADMIN) as up:
        told = await post(up, {"action": "open", "model": "m" * 5_000}, 413)
        assert told["error"]["code"] == "BODY_TOO_LARGE"


@pytest.mark.parametrize("host", ["evil.example", "one.evil.example:80"])
async def test_a_page_that_made_its_name_ours_is_refused(host: str) -> None:
    async with running_pool(SIM + ADMIN) as up:
        async with up.http.post(PATH, json={"action": "open"}, headers={"Host": host}) as response:
            assert response.status == 403
        await ask(up)


async def test_other_methods_are_refused() -> None:
    async with running_pool(SIM + ADMIN) as up, up.http.get(PATH) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"


async def test_there_is_one_access_line_and_it_names_no_caller_text() -> None:
    async with running_pool(SIM + ADMIN) as up:
        await post(up, {"action": "open"})
        await post(up, {"action": "open"}, 404, path="/admin/breakers/CANARY")
        first, second = await up.lines(2)
        assert (first["route"], first["status"]) == ("/admin/breakers/{provider}", 200)
        assert (second["route"], second["outcome"]) == ("/admin/breakers/{provider}", "UNKNOWN_PROVIDER")


# --- On both edges ----------------------------------------------------------------------------------------------


async def test_an_open_breaker_is_the_same_on_both_edges() -> None:
    async with running_pool(FAILING) as up:
        for _ in range(2):
            await ask(up, 502)
        said = [await each(up, {"prompt": "hi"}) for each in ASKS]
        for each in said:
            assert (each.status, each.answer, each.events) == (503, None, ())
            assert each.error == said[0].error
        assert said[0].error is not None
        assert said[0].error["code"] == "PROVIDER_UNAVAILABLE"


async def test_both_tell_when_to_come_back() -> None:
    async with running_pool(FAILING) as up:
        for _ in range(2):
            await ask(up, 502)
        async with up.http.post("/v1/infer", json={"prompt": "hi"}) as response:
            assert response.status == 503
            seconds = int(response.headers["Retry-After"])
        assert 1 <= seconds <= 5
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await up.stub.Infer(pb.InferRequest(prompt="hi"))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        trailers = dict(caught.value.trailing_metadata() or ())
        info = RetryInfo()
        told = Status.FromString(bytes(trailers["grpc-status-details-bin"]))
        assert [each.Unpack(info) for each in told.details].count(True) == 1
        assert 0 < info.retry_delay.ToMilliseconds() <= 1_000 * seconds


async def test_who_asks_for_one_that_is_taken_out_is_told_when_to_come_back() -> None:
    async with running_pool(SIM + ADMIN) as up:
        await post(up, {"action": "open"})
        async with up.http.post("/v1/infer", json={"prompt": "hi"}) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "30")


async def test_the_only_one_that_an_operator_has_taken_out_is_the_same_on_both_edges() -> None:
    async with running_pool(SIM + ADMIN) as up:
        await post(up, {"action": "open"})
        said = [await each(up, {"prompt": "hi"}) for each in ASKS]
        assert {each.status for each in said} == {503}
        assert all(each.error == said[0].error for each in said)
