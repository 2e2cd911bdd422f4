"""What statuses mean, for every provider that speaks HTTP; and that nothing of a body is repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import (
    ContextTooLong,
    ProviderError,
    ProviderGarbled,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderRefused,
    ProviderTimeout,
    RequestRefused,
)
from llm_pool.providers.failures import by_status, code_in, object_in, told_in


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, ProviderGarbled),
        (302, ProviderRefused),
        (400, RequestRefused),
        (401, ProviderMisconfigured),
        (402, ProviderLimited),
        (403, ProviderMisconfigured),
        (404, ProviderMisconfigured),
        (408, ProviderTimeout),
        (413, RequestRefused),
        (418, ProviderRefused),
        (422, RequestRefused),
        (429, ProviderLimited),
        (500, ProviderError),
        (501, RequestRefused),
        (502, ProviderError),
        (503, ProviderOverloaded),
        (529, ProviderOverloaded),
    ],
)
def test_each_status_means_one_thing(status: int, kind: type[ProviderError]) -> None:
    assert type(by_status(status, who="X", model="m", wait=None)) is kind


def test_how_long_to_wait_is_kept_where_waiting_helps() -> None:
    assert by_status(429, who="X", model="m", wait=7.0).retry_after == 7.0
    assert by_status(400, who="X", model="m", wait=7.0).retry_after is None


def test_a_code_is_shown_beside_the_status() -> None:
    assert str(by_status(400, who="X (a)", model="m", wait=None, said="bad_param")) == (
        "X (a) refused the request (400, bad_param)"
    )


def test_braces_in_the_name_of_a_model_are_only_braces() -> None:
    assert 'the model "{0}"' in str(by_status(404, who="X", model="{0}", wait=None))


@pytest.mark.parametrize("status", [401, 403])
def test_where_no_key_was_sent_none_is_said_to_be_wrong(status: int) -> None:
    assert f"does not accept our key, or wants one ({status})" in str(by_status(status, who="X", model="m", wait=None))


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("This model's maximum context length is 4 tokens", ContextTooLong),
        ("the request (704 tokens) EXCEEDS the available context size", ContextTooLong),
        ("input is too large to process", ContextTooLong),
        ("image input is not supported - hint: try another", RequestRefused),
        ("model 'm' not found", ProviderMisconfigured),
        ("The model `m` does not exist.", ProviderMisconfigured),
        ("an image of the model was not found", None),
        ("something went wrong", None),
        ("", None),
    ],
)
def test_what_servers_have_no_code_for_is_told_in_known_words(message: str, kind: type[ProviderError] | None) -> None:
    assert told_in(message) is kind


@pytest.mark.parametrize("value", ["Your prompt was: secret", "a" * 65, "", "über", "x\n", None, 5, {}])
def test_sentences_are_no_codes(value: object) -> None:
    assert code_in(value) == ""


def test_identifiers_are_codes() -> None:
    assert [code_in(each) for each in ("context_length_exceeded", "messages[0].content", "model-x.1")] == [
        "context_length_exceeded",
        "messages[0].content",
        "model-x.1",
    ]


@given(st.binary())
def test_whatever_a_body_is_it_is_read_without_an_error(said: bytes) -> None:
    assert isinstance(object_in(said), dict)
