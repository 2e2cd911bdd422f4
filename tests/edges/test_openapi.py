"""The document of the API says what is true: every route is in it, and every real answer is as it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from llm_pool.core.errors import PoolError
from llm_pool.core.ports.provider import Health
from llm_pool.edges.account import well_formed
from llm_pool.edges.bodies import ImageBody, InferBody, ToolBody, ToolChoiceBody, parsed
from llm_pool.edges.http import docs, examples, shapes
from llm_pool.edges.http.openapi import NEVER_SENT, document
from llm_pool.edges.http.server import application
from llm_pool.edges.readiness import Lifecycle
from llm_pool.edges.status import ROW
from llm_pool.providers.sim.client import Simulated
from tests.edges.both import kinds
from tests.edges.document import events, fits, operations, schema_of
from tests.running import SIM, loaded, pool_of, running_pool, serving

if TYPE_CHECKING:
    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request
    from tests.running import Up

TASKS = {"chat", "expand_queries", "site_tactics", "rerank_candidates", "judge", "recovery_plan", "enrich_metadata"}
JSON = "application/json"
AT_URL = {"media_type": "image/png", "url": "https://a/"}

POOL = """
[server]
max_body_bytes = 65536

[ensemble.strategy_by_task]
nobody = "fastest"

[[providers]]
name = "plain"
driver = "sim"
model = "m"
tasks = ["chat"]
sim.answers = ["One two three four five."]

[[providers]]
name = "failing"
driver = "sim"
provider = "failing"
model = "m"
tasks = ["falling-back", "all-failing"]
sim.fail_rate = 1.0

[[providers]]
name = "also-failing"
driver = "sim"
provider = "also"
model = "m"
tasks = ["all-failing"]
sim.fail_rate = 1.0

[[providers]]
name = "stand-in"
driver = "sim"
provider = "standing"
model = "in"
fallback = true
tasks = ["falling-back"]

[[providers]]
name = "breaking"
driver = "sim"
provider = "breaking"
model = "m"
tasks = ["breaking"]
sim.answers = ["One two three four five."]
sim.break_rate = 1.0

[[providers]]
name = "silent"
driver = "sim"
provider = "silent"
model = "m"
tasks = ["silent"]
sim.stall_rate = 1.0
"""


# --- The document -----------------------------------------------------------------------------------------------


def test_it_is_openapi() -> None:
    """By the meta-schema, with references that lead somewhere and ids that are unique."""
    OpenAPIV31SpecValidator(orjson.loads(orjson.dumps(document()))).validate()


def test_every_operation_is_named_and_described() -> None:
    tags = {tag["name"] for tag in document()["tags"]}
    for told in operations().values():
        assert re.fullmatch("[a-z]+(_[a-z]+)*", told["operationId"])
        assert told["summary"]
        assert set(told["tags"]) <= tags


def test_it_is_made_when_it_is_asked_for_and_always_the_same() -> None:
    """Its models would cost every start, and caches and generated clients depend on its bytes."""
    code = (
        "import sys, orjson, llm_pool.edges.http\n"
        "assert not {'llm_pool.edges.http.openapi', 'llm_pool.edges.http.shapes'} & set(sys.modules)\n"
        "from llm_pool.edges.http.openapi import document\n"
        "sys.stdout.buffer.write(orjson.dumps(document()))"
    )
    made = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": "1"}
    )
    assert made.stdout == orjson.dumps(document())


def test_every_error_that_is_ever_told_is_in_it() -> None:
    """With its code, at its status: the document and the answers have one table."""
    told = document()["components"]["responses"]
    for kind in kinds(PoolError):
        if "reason" not in vars(kind) or issubclass(kind, tuple(NEVER_SENT)):
            continue
        code = next(ROW[each].http for each in kind.__mro__ if each in ROW)
        # Which methods a path takes stands in the document: nobody who reads it meets a 405.
        assert code == 405 or f"`{kind.reason}`" in told[f"Error{code}"]["description"]


# --- Questions --------------------------------------------------------------------------------------------------


def test_every_task_has_an_example_and_every_example_is_a_question() -> None:
    content = operations()["POST", "/v1/infer"]["requestBody"]["content"][JSON]
    assert set(content["examples"]) >= TASKS
    for name, example in content["examples"].items():
        body = parsed(orjson.dumps(example["value"]))
        assert name not in TASKS or body.task == name
        assert schema_of("InferBody").is_valid(example["value"])


@pytest.mark.parametrize(
    ("valid", "body"),
    [
        (True, {"prompt": "hi", "messages": None}),
        (True, {"prompt": "hi", "temperature": 2, "max_tokens": 1, "meta": {}, "model": None}),
        (True, {"messages": [{"role": "tool", "content": ""}]}),
        (True, {"messages": [{"role": "user", "parts": [{"text": ""}, {"image": {"url": "https://a/"}}]}]}),
        (True, {"messages": [{"role": "user", "content": "hi", "parts": None}]}),
        (True, {"prompt": "hi", "tools": [{"name": "a"}], "tool_choice": None, "response_schema": None, "stop": []}),
        (True, {"messages": [{"role": "user", "parts": [{"image": {**AT_URL, "data": None}}]}]}),
        (False, {"messages": [{"role": "user", "parts": [{"image": {**AT_URL, "data": "aGk="}}]}]}),
        (False, {"messages": [{"role": "user"}]}),
        (False, {"messages": [{"role": "user", "content": "hi", "parts": [{"text": "hi"}]}]}),
        (False, {"messages": [{"role": "user", "parts": [{}]}]}),
        (False, {"messages": [{"role": "user", "parts": [{"text": "hi", "image": {"url": "https://a/"}}]}]}),
        (False, {"messages": [{"role": "user", "parts": [{"image": {"data": "aGk="}}]}]}),
        (False, {"messages": [{"role": "user", "parts": [{"image": {"url": "ftp://a/"}}]}]}),
        (False, {"prompt": "hi", "tools": []}),
        (False, {"prompt": "hi", "tools": [{"name": "a b"}]}),
        (False, {"prompt": "hi", "stop": [""]}),
        (False, {"prompt": "hi", "logprobs": 21}),
        (False, {}),
        (False, {"prompt": " \n"}),
        (False, {"messages": []}),
        (False, {"messages": [{"role": "robot", "content": "hi"}]}),
        (False, {"messages": [{"role": "user", "content": "hi", "name": "ann"}]}),
        (False, {"prompt": "hi", "messages": [{"role": "user", "content": "hi"}]}),
        (False, {"prompt": "hi", "unknown": 1}),
        (False, {"prompt": "hi", "temperature": 2.1}),
        (False, {"prompt": "hi", "max_tokens": 0}),
        (False, {"prompt": "hi", "max_tokens": "1"}),
        (False, {"prompt": "hi", "stream": None}),
        (False, {"prompt": "hi", "meta": {"k" * 513: ""}}),
        (False, {"prompt": "hi", "request_id": "a b"}),
    ],
)
@pytest.mark.real_time
async def test_the_document_takes_what_the_pool_takes(body: dict[str, Any], valid: bool) -> None:
    assert schema_of("InferBody").is_valid(body) is valid
    async with running_pool(SIM) as up, up.http.post("/v1/infer", json=body) as response:
        assert response.status == (200 if valid else 400)


@pytest.mark.parametrize("name", ["a", "A-1.b:2_C", "a" * 128, "", "-a", "a" * 129, "a b", "ä", "a\n"])
def test_a_request_id_is_what_the_document_says(name: str) -> None:
    assert schema_of("InferBody").is_valid({"prompt": "hi", "request_id": name}) is well_formed(name)


def test_every_field_is_explained() -> None:
    for model in (InferBody, ImageBody, ToolBody, ToolChoiceBody):
        assert [name for name, told in model.model_fields.items() if not told.description] == []


# --- Answers ----------------------------------------------------------------------------------------------------


def test_the_answers_shown_are_such() -> None:
    shapes.Answer.model_validate_json(orjson.dumps(examples.ANSWER))
    for event, data in examples.EVENTS:
        shapes.StreamEvent.model_validate({"event": event, "data": orjson.dumps(data).decode()})
    reasons = {kind.reason: next(ROW[each].http for each in kind.__mro__ if each in ROW) for kind in kinds(PoolError)}
    for code, (reason, *_) in examples.ERRORS.items():
        assert reason == "INTERNAL" or reasons[reason] == code
        told = document()["components"]["responses"][f"Error{code}"]["content"][JSON]["example"]
        shapes.Error.model_validate_json(orjson.dumps(told))


@dataclass(frozen=True)
class Case:
    status: int
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    model: str = "Error"


def hi(**more: Any) -> dict[str, Any]:
    return {"prompt": "hi", **more}


CASES = {
    "an answer": Case(200, hi(), model="Answer"),
    "an answer cut": Case(200, hi(max_tokens=1), model="Answer"),
    "a degraded answer": Case(200, hi(task="falling-back"), model="Answer"),
    "a strategy that is not asked for by its name": Case(200, hi(model="pool/fastest"), model="Answer"),
    "a stream": Case(200, hi(stream=True), model="StreamEvent"),
    "a degraded stream": Case(200, hi(task="falling-back", stream=True), model="StreamEvent"),
    "no JSON": Case(400, b"{"),
    "an unknown field": Case(400, hi(unknown=1)),
    "several wrong fields": Case(400, hi(max_tokens=0, temperature=3)),
    "another tenant": Case(403, hi(tenant_id="other")),
    "a foreign host": Case(403, hi(), {"Host": "evil.example.org"}),
    "two words as host": Case(400, hi(), {"Host": "a b"}),
    "an unknown model": Case(404, hi(model="sim/mm")),
    "an unknown task": Case(404, hi(task="chatt")),
    "too large": Case(413, b" " * 70_000),
    "no JSON by its name": Case(415, b"{}", {"Content-Type": "text/plain"}),
    "one failing": Case(502, hi(model="failing/m")),
    "all failing": Case(502, hi(task="all-failing")),
    "a failing stream": Case(502, hi(task="all-failing", stream=True)),
    "breaking": Case(502, hi(task="breaking")),
    "nobody for it": Case(503, hi(task="nobody")),
    "too late": Case(504, hi(task="silent", deadline_ms=60)),
}


@pytest.mark.real_time
async def test_every_answer_is_as_the_document_says(subtests: pytest.Subtests) -> None:
    async with running_pool(POOL) as up:
        for name, case in CASES.items():
            data = case.body if isinstance(case.body, bytes) else orjson.dumps(case.body)
            with subtests.test(case=name):
                async with up.http.post("/v1/infer", data=data, headers={"Content-Type": JSON, **case.headers}) as told:
                    assert told.status == case.status, await told.text()
                    assert await fits(told, "/v1/infer") == case.model


@pytest.mark.real_time
async def test_a_stream_that_breaks_is_as_the_document_says() -> None:
    """Where it breaks is drawn: before its first word it has a status, after it an event."""
    endings = set()
    async with running_pool(POOL) as up:
        for _ in range(20):
            async with up.http.post("/v1/infer", json=hi(task="breaking", stream=True)) as told:
                endings.add(await fits(told, "/v1/infer"))
                if told.status == 200:
                    assert events(await told.text())[-1]["event"] == "error"
    assert endings >= {"StreamEvent"}


class Buggy:
    """A provider with a bug."""

    def chat(self, request: Request) -> Answering:
        raise KeyError("secret")

    async def health(self) -> Health:
        return Health("healthy")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


@pytest.mark.real_time
async def test_a_bug_of_ours_is_as_the_document_says(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")
    async with (
        pool_of(SIM, {"one": Buggy()}) as pool,
        serving(pool) as up,
        up.http.post("/v1/infer", json=hi()) as told,
    ):
        assert (told.status, await fits(told, "/v1/infer")) == (500, "Error")


async def look(up: Up) -> None:
    """At everything that takes GET, with GET and with HEAD, and with a Host that is not served."""
    for (method, path), told in operations().items():
        if method == "GET":
            for asked in ("GET", "HEAD"):
                async with up.http.request(asked, path, allow_redirects=False) as response:
                    assert str(response.status) in told["responses"]
                    await fits(response, path)
            async with up.http.get(path, headers={"Host": "evil.example.org"}) as response:
                assert (response.status, (await fits(response, path))[-5:]) == (403, "Error")


@pytest.mark.real_time
async def test_what_the_pool_tells_of_itself_is_as_the_document_says() -> None:
    """While all is well, and while it drains with providers in trouble."""
    async with running_pool(SIM) as up:
        await look(up)
    gone = '[[providers]]\nname = "gone"\ndriver = "ollama"\nmodel = "m"\nbase_url = "http://127.0.0.1:9"\n'
    async with running_pool(POOL + gone) as up:
        up.lifecycle.draining = True
        await look(up)
        async with up.http.get("/readyz") as response:
            assert response.status == 503


@pytest.mark.real_time
async def test_every_route_is_in_the_document_and_nothing_else() -> None:
    """But the files of the page, which are nobody's to call."""
    sim = Simulated(loaded(SIM).settings.providers[0].sim, provider="sim", models=("m",))
    async with pool_of(SIM, {"one": sim}) as pool:
        app = application(pool, Lifecycle(), bound="127.0.0.1")
        routes = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource}
    told = {*operations(), *(("GET", f"/docs/{name}") for name in docs.BESIDE)}
    assert routes == told | {("HEAD", path) for method, path in told if method == "GET"}


@pytest.mark.real_time
async def test_the_document_is_served_as_it_is_made() -> None:
    async with running_pool(SIM) as up, up.http.get("/openapi.json") as response:
        assert response.headers["Cache-Control"] == "no-cache"
        assert await response.read() == orjson.dumps(document())
