"""Whatever is made of the document of the API, right or wrong: no 500, and every answer is one that it describes.

`--thorough` tries all the bounds that the document sets, and five times as many inventions.
"""

from __future__ import annotations

import http.client
import itertools
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from llm_pool.edges.http.routes import ROUTES
from tests.edges.hostile.threaded import pool_in_a_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis.generation.case import Case
    from schemathesis.schemas import APIOperation, BaseSchema

    from tests.running import Up

pytestmark = pytest.mark.faults

# Its models are those of the document's examples, and what they say fits the schema that one of these asks for.
POOL = """
[admin]
enabled = true

[[providers]]
name = "phi3"
driver = "sim"
provider = "ollama"
models = ["phi3:mini", "nomic-embed-text"]
sim.answers = ['{"city": "Lisbon", "country": "Portugal"}']
sim.reasoning = "Well."
sim.tool_calls = [{name = "weather", arguments = {city = "Lisbon"}}]

[[providers]]
name = "spare"
driver = "sim"
provider = "spare"
model = "m"
tasks = ["spare"]
"""
MODEL = "ollama/phi3:mini"
ANSWERS_WITHIN = 10.0  # seconds
ONE_OF = 8  # bounds are tried if not all are

# Not that what the document takes is answered with 2xx: no document can say that a tool_choice names one of the tools.
CHECKS: Any = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with pool_in_a_thread(POOL) as running:
        yield running


@pytest.fixture(scope="module")
def schema(up: Up) -> BaseSchema:
    connection = http.client.HTTPConnection(up.http_address, timeout=ANSWERS_WITHIN)
    connection.request("GET", "/openapi.json")
    document = orjson.loads(connection.getresponse().read())
    connection.close()
    _quick(document)
    return schemathesis.openapi.from_dict(document)


def _quick(part: Any) -> None:
    """Without the lengths of what has a pattern, too: to make a URL of 8,192 characters takes the tool a minute."""
    if isinstance(part, dict):
        if "pattern" in part:
            part.pop("maxLength", None)
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            _quick(each)


def _operation(schema: BaseSchema, method: str, path: str) -> APIOperation[Any, Any, Any, Any]:
    return schema[path][method]


def hold(case: Case[Any], up: Up) -> None:
    """Ask, and hold the answer to the document."""
    response = case.call(base_url=f"http://{up.http_address}", timeout=ANSWERS_WITHIN, allow_redirects=False)
    assert response.status_code != 500
    case.validate_response(response, checks=CHECKS)


def _known(case: Case[Any]) -> Case[Any]:
    """Hardly any would come further than to its model."""
    if isinstance(case.body, dict) and "model" in case.body:
        case.body["model"] = MODEL
    if "provider" in case.path_parameters:
        case.path_parameters["provider"] = "spare"
    return case


WITH_BODY = [route.template for route in ROUTES if route.body]


@pytest.mark.parametrize("path", WITH_BODY)
def test_every_answer_to_an_invented_request_is_as_the_document_says(
    path: str, schema: BaseSchema, up: Up, pytestconfig: pytest.Config
) -> None:
    operation = _operation(schema, "POST", path)

    examples = 100 if pytestconfig.getoption("--thorough") else 20
    right, wrong = (
        operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    )

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(case=st.one_of(right, right.map(_known), wrong))
    def ask(case: Case[Any]) -> None:
        hold(case, up)

    ask()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_every_answer_at_the_bounds_is_as_the_document_says(
    route: Any, schema: BaseSchema, up: Up, pytestconfig: pytest.Config
) -> None:
    """Each field at its least and most, one beyond, of another type and absent; other methods, other media types."""
    operation = _operation(schema, route.method, route.template)
    cases = schema.iter_coverage_cases(
        operation, generation_modes=list(GenerationMode), generation_config=schema.config.generation
    )
    step = ONE_OF if route.body and not pytestconfig.getoption("--thorough") else 1
    for case in itertools.islice(cases, 0, None, step):
        hold(case, up)
