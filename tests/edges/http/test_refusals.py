"""Errors in the shape of each door, and what official clients are told about trying again."""

from __future__ import annotations

import pytest

from llm_pool.core import errors
from llm_pool.edges import status
from llm_pool.edges.http import refusals


def kinds(kind: type[errors.PoolError]) -> list[type[errors.PoolError]]:
    return [kind, *(each for subclass in kind.__subclasses__() for each in kinds(subclass))]


def made(kind: type[errors.PoolError]) -> errors.PoolError:
    if issubclass(kind, errors.UnknownName):
        return kind("model", "gpt", ["gpt-4"])
    return kind("told")


@pytest.mark.parametrize("kind", kinds(errors.PoolError))
def test_every_error_has_a_word_in_every_protocol(kind: type[errors.PoolError]) -> None:
    error = made(kind)
    code = status.status(error).http
    openai = refusals.openai(error, code, "id")["error"]
    anthropic = refusals.anthropic(error, code, "id")
    assert isinstance(openai, dict)
    assert openai["message"] == error.message
    assert openai["type"] == {
        401: "authentication_error",
        403: "permission_error",
        429: "rate_limit_error",
    }.get(code, "invalid_request_error" if code < 500 else "server_error")
    assert anthropic["type"] == "error"
    assert anthropic["request_id"] == "id"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.InvalidRequest("x"), "invalid_request_error"),
        (errors.Forbidden("x"), "permission_error"),
        (errors.NotFound("x"), "not_found_error"),
        (errors.BodyTooLarge("x"), "request_too_large"),
        (errors.PoolError("x"), "api_error"),
        (errors.AllProvidersFailed("x"), "api_error"),
        (errors.Overloaded("x"), "overloaded_error"),
        (errors.DeadlineExceeded("x"), "timeout_error"),
        (errors.ContextTooLong("x"), "invalid_request_error"),
    ],
)
def test_anthropics_names_for_what_went_wrong(error: errors.PoolError, kind: str) -> None:
    told = refusals.anthropic(error, status.status(error).http, "id")["error"]
    assert told == {"type": kind, "message": "x"}


def test_openais_codes_are_the_ones_that_its_callers_branch_on() -> None:
    unknown = errors.UnknownModel("model", "gpt", ["gpt-4"])
    told = refusals.openai(unknown, 404, "id")["error"]
    assert isinstance(told, dict)
    assert (told["code"], told["param"]) == ("model_not_found", "model")
    context = refusals.openai(errors.ContextTooLong("x"), 400, "id")["error"]
    assert isinstance(context, dict)
    assert context["code"] == "context_length_exceeded"


def test_who_shall_come_back_is_told_when_in_every_way_that_clients_read() -> None:
    told = refusals.headers(errors.ProviderUnavailable("x", retry_after=1.25), 503)
    assert told == {"Retry-After": "2", "retry-after-ms": "1250", "x-should-retry": "true"}
    assert refusals.headers(errors.Overloaded("x"), 503)["retry-after-ms"] == "1000"


@pytest.mark.parametrize("error", [errors.ProviderNotConfigured("x"), errors.ProviderMisconfigured("x")])
def test_what_only_a_person_can_mend_is_not_tried_again(error: errors.PoolError) -> None:
    assert refusals.headers(error, status.status(error).http) == {"x-should-retry": "false"}


def test_where_nothing_is_known_clients_do_as_they_always_do() -> None:
    assert refusals.headers(errors.AllProvidersFailed("x"), 502) == {}


@pytest.mark.parametrize("error", [errors.NoProvider("x"), errors.InvalidOutput("x")])
def test_nor_is_what_was_paid_for_or_has_nobody_to_answer(error: errors.PoolError) -> None:
    assert refusals.headers(error, status.status(error).http) == {"x-should-retry": "false"}


def test_a_missing_key_is_no_overload() -> None:
    told = refusals.anthropic(errors.ProviderNotConfigured("x"), 503, "id")["error"]
    assert told == {"type": "api_error", "message": "x"}
