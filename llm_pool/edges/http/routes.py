"""The routes of the HTTP edge: what is served where, and what the document of the API says of it.

One table for both, so that no route is missing in the document. It names its models instead of importing them: they
are needed only when somebody asks for the document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from llm_pool.edges.http import docs, probes, refusals
from llm_pool.edges.http.admin import breakers
from llm_pool.edges.http.anthropic.doors import CountDoor, MessagesDoor
from llm_pool.edges.http.door import served
from llm_pool.edges.http.infer import InferDoor
from llm_pool.edges.http.models import model, models
from llm_pool.edges.http.openai.chat import ChatDoor
from llm_pool.edges.http.openai.embeddings import EmbeddingsDoor
from llm_pool.edges.http.openai.responses import ResponsesDoor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiohttp.typedefs import Handler

    from llm_pool.edges.http.refusals import Shape
    from llm_pool.edges.readiness import Lifecycle
    from llm_pool.pool import Pool

JSON, EVENTS, HTML, TEXT = "application/json", "text/event-stream", "text/html", "text/plain"

ALWAYS = (400, 403, 500)  # the Host header, or a bug
ASKED = (400, 403, 404, 408, 413, 415, 500, 502, 503, 504)  # whatever may become of a question


@dataclass(frozen=True, slots=True)
class Told:
    """One kind of answer. `content` is a media type and the name of its model in `shapes`, empty for free text."""

    what: str
    content: dict[str, str]


@dataclass(frozen=True, slots=True)
class Route:
    """`name` is the operation's for ever: clients are generated with it. A route of GET takes HEAD, too."""

    method: str
    path: str
    make: Callable[[Pool, Lifecycle], Handler]
    name: str
    tag: str
    summary: str
    answers: dict[int, Told]
    description: str = ""
    body: str = ""  # the model of what it takes
    errors: tuple[int, ...] = ALWAYS
    shape: Shape = refusals.ours  # of its errors

    @property
    def template(self) -> str:
        """The path as documents write it, and as aiohttp names it: without the patterns of its parameters."""
        return re.sub(r":[^{}]+}", "}", self.path)


ROUTES = (
    Route(
        "POST",
        "/v1/infer",
        lambda pool, _: served(pool, InferDoor()),
        name="infer",
        tag="inference",
        summary="Ask a question",
        description=(
            "The pool finds a model for the task, hands the question on when one fails, and keeps the deadline. The "
            "answer comes whole, or, with `stream`, word by word as server-sent events. Hanging up is cancelling."
        ),
        body="InferBody",
        answers={200: Told("The answer, whole or as a stream.", {JSON: "Answer", EVENTS: "StreamEvent"})},
        errors=(400, 403, 404, 408, 413, 415, 500, 502, 503, 504),
    ),
    Route(
        "POST",
        "/v1/chat/completions",
        lambda pool, _: served(pool, ChatDoor()),
        name="openai_chat",
        tag="openai",
        summary="Ask a question in OpenAI's words",
        description="For the official clients and all that speak as they do: their base URL is `http://host:7071/v1`.",
        body="ChatBody",
        answers={200: Told("A chat completion, or its chunks as a stream.", {JSON: "", EVENTS: ""})},
        errors=ASKED,
        shape=refusals.openai,
    ),
    Route(
        "POST",
        "/v1/embeddings",
        lambda pool, _: served(pool, EmbeddingsDoor()),
        name="openai_embeddings",
        tag="openai",
        summary="Turn texts into vectors",
        body="EmbeddingsBody",
        answers={200: Told("A vector for each input, in their order.", {JSON: ""})},
        errors=ASKED,
        shape=refusals.openai,
    ),
    Route(
        "POST",
        "/v1/responses",
        lambda pool, _: served(pool, ResponsesDoor()),
        name="openai_responses",
        tag="openai",
        summary="Ask in the words of OpenAI's Responses API",
        description=(
            "For clients of OpenAI. Nothing is stored: the whole conversation is sent each time, and what a model "
            "thought comes back with it, in `encrypted_content`."
        ),
        body="ResponsesBody",
        answers={200: Told("The response, whole or as a stream of events.", {JSON: "", EVENTS: ""})},
        errors=(400, 403, 404, 408, 413, 415, 500, 502, 503, 504),
        shape=refusals.openai,
    ),
    Route(
        "POST",
        "/v1/messages",
        lambda pool, _: served(pool, MessagesDoor()),
        name="anthropic_messages",
        tag="anthropic",
        summary="Ask in the words of Anthropic's Messages API",
        description=(
            "For clients of Anthropic. What a model of another provider thought has a signature of the pool's own, by "
            "which it finds back to that provider."
        ),
        body="MessagesBody",
        answers={200: Told("The message, whole or as a stream of events.", {JSON: "", EVENTS: ""})},
        errors=(400, 403, 404, 408, 413, 415, 500, 502, 503, 504),
        shape=refusals.anthropic,
    ),
    Route(
        "POST",
        "/v1/messages/count_tokens",
        lambda pool, _: served(pool, CountDoor()),
        name="anthropic_count_tokens",
        tag="anthropic",
        summary="Count the tokens of a question",
        description="By the provider where it counts; else it is an estimate.",
        body="CountBody",
        answers={200: Told("How many they are.", {JSON: ""})},
        errors=(400, 403, 404, 408, 413, 415, 500, 502, 503, 504),
        shape=refusals.anthropic,
    ),
    Route(
        "GET",
        "/v1/models",
        lambda pool, _: models(pool),
        name="list_models",
        tag="inference",
        summary="List the models, strategies and tasks that may be asked",
        description=(
            "Each may be the `model` of a question: `provider/model`, an alias, `pool/<strategy>` or `task/<task>`. In "
            "Anthropic's words for callers who send `anthropic-version`."
        ),
        answers={200: Told("The list.", {JSON: "Models"})},
        shape=refusals.openai,
    ),
    Route(
        "GET",
        "/v1/models/{model:.+}",
        lambda pool, _: model(pool),
        name="get_model",
        tag="inference",
        summary="Say whether there is this model",
        answers={200: Told("There is.", {JSON: ""})},
        errors=(400, 403, 404, 500),
        shape=refusals.openai,
    ),
    Route(
        "GET",
        "/health",
        lambda pool, _: probes.health(pool),
        name="health",
        tag="health",
        summary="How the pool is",
        description="For people and dashboards: always 200 while the pool runs. No probe ever asks a provider.",
        answers={200: Told("How the pool and each provider is.", {JSON: "Health"})},
    ),
    Route(
        "GET",
        "/health/detailed",
        probes.detailed,
        name="health_detailed",
        tag="health",
        summary="How the pool is, and why",
        answers={200: Told("The same, what each provider serves, and why it is as it is.", {JSON: "HealthDetailed"})},
    ),
    Route(
        "GET",
        "/api/v1/healthz",
        lambda *_: probes.live,
        name="healthz",
        tag="health",
        summary="Whether the process answers",
        answers={200: Told("It does.", {JSON: "Probe"})},
    ),
    Route(
        "GET",
        "/livez",
        lambda *_: probes.live,
        name="livez",
        tag="health",
        summary="Whether the process answers",
        description="For orchestrators: restart the pool where this fails.",
        answers={200: Told("It does.", {JSON: "Probe"})},
    ),
    Route(
        "GET",
        "/readyz",
        probes.ready,
        name="readyz",
        tag="health",
        summary="Whether to send requests here now",
        description="For load balancers and orchestrators.",
        answers={
            200: Told("Yes.", {JSON: "Probe"}),
            503: Told("No: it is starting, draining, or without any usable provider.", {JSON: "Probe"}),
        },
    ),
    Route(
        "GET",
        "/metrics",
        lambda pool, _: probes.metrics(pool),
        name="metrics",
        tag="health",
        summary="Figures for Prometheus",
        answers={200: Told("Every series is named `llm_pool_...`.", {TEXT: ""})},
    ),
    Route(
        "POST",
        "/admin/breakers/{provider}",
        lambda pool, _: breakers(pool),
        name="operate_breakers",
        tag="operation",
        summary="Open, close or reset the circuit breakers of a provider",
        description="Only where `admin.enabled` is set: whoever may call the pool may then do this, too.",
        body="BreakerBody",
        answers={200: Told("How its deployments are now.", {JSON: "Breakers"})},
        errors=(400, 403, 404, 408, 413, 415, 500),
    ),
    Route(
        "GET",
        "/openapi.json",
        lambda *_: docs.openapi,
        name="openapi",
        tag="documentation",
        summary="This document",
        answers={200: Told("OpenAPI 3.1.", {JSON: ""})},
    ),
    Route(
        "GET",
        "/docs",
        lambda *_: docs.asset("docs.html"),
        name="docs",
        tag="documentation",
        summary="This document as a page, to read and to try out",
        answers={200: Told("The page. It asks no other server for anything.", {HTML: ""}), 304: Told("As before.", {})},
    ),
    Route(
        "GET",
        "/redoc",
        lambda *_: docs.redoc,
        name="redoc",
        tag="documentation",
        summary="The same page, where some look for it",
        answers={307: Told("To `/docs`.", {})},
    ),
)


def routes(pool: Pool, lifecycle: Lifecycle) -> Iterator[web.RouteDef]:
    """Every route of the table, and the files of the page."""
    for route in ROUTES:
        # (`web.get` is what adds HEAD.)
        method = web.get if route.method == "GET" else web.post
        yield method(route.path, route.make(pool, lifecycle))
    for name in docs.BESIDE:
        yield web.get(f"/docs/{name}", docs.asset(name))


def shapes() -> dict[str, Shape]:
    """How the errors of each path look, by its template."""
    return {route.template: route.shape for route in ROUTES}
