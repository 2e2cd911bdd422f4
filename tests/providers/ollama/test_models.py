"""What a listing of models says, how their names compare, and what follows for a server's health."""

from __future__ import annotations

import pytest

from llm_pool.core.errors import ProviderGarbled
from llm_pool.core.ports.provider import Health
from llm_pool.providers.ollama.models import canonical, model_names, state

WHO = "Ollama at host:11434"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("llama3", "llama3:latest", True),
        ("Llama3:LATEST", "llama3", True),
        ("llama3:8b", "llama3", False),
        ("host:5000/team/llama3", "host:5000/team/llama3:latest", True),
        ("hf.co/a/b:Q4_K_M", "hf.co/a/b", False),
    ],
)
def test_names_compare_with_the_tag_that_goes_without_saying(one: str, other: str, *, same: bool) -> None:
    assert (canonical(one) == canonical(other)) is same


def test_models_are_listed_by_either_of_their_names() -> None:
    body = b'{"models": [{"name": "a:latest", "model": "a:latest"}, {"model": "b"}, {"name": "C:7b"}]}'
    assert model_names(body, who=WHO) == {"a:latest", "b:latest", "c:7b"}
    assert model_names(b'{"models": null}', who=WHO) == frozenset()


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"models": 1}', b'{"models": ["name"]}', b'{"models": [{"name": 1}]}']
)
def test_a_listing_of_another_shape_is_garbled(body: bytes) -> None:
    with pytest.raises(ProviderGarbled):
        model_names(body, who=WHO)


def test_health_follows_from_what_is_installed_and_in_memory() -> None:
    def health(installed: set[str], loaded: set[str] | None, loading: str | None = None) -> Health:
        memory = None if loaded is None else frozenset(loaded)
        return state(("a", "b:7b"), installed=frozenset(installed), loaded=memory, loading=loading)

    both = {"a:latest", "b:7b"}
    assert health(both, both) == Health("healthy")
    assert health(both, None) == Health("healthy")
    one, other = frozenset({"b:7b"}), frozenset({"a"})
    not_yet = "not in memory yet, the next answer loads it: "
    assert health(both, {"a:latest"}) == Health("loading", not_yet + "b:7b", cold=one)
    assert health(both, set()) == Health("loading", not_yet + "a, b:7b", cold=one | other)
    assert health(both, both, "a") == Health("loading", 'model "a" is being loaded', cold=other)
    missing = 'model "b:7b" is not installed: run "ollama pull b:7b"'
    assert health({"a:latest"}, both) == Health("degraded", missing, frozenset({"b:7b"}))
    nothing = health(set(), set())
    assert nothing.state == "unhealthy"
    assert '"ollama pull a"' in nothing.why
    assert '"ollama pull b:7b"' in nothing.why
    assert state((), installed=frozenset(), loaded=None, loading=None) == Health("healthy")
