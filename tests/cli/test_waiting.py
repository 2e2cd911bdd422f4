"""Which model a question waits for, from what the pool tells of its providers."""

from __future__ import annotations

from typing import Any

import pytest

from llm_pool.cli.waiting import loading


def provider(state: str, *models: str, tasks: tuple[str, ...] = ("*",), **more: object) -> dict[str, Any]:
    return {"state": state, "models": list(models), "tasks": list(tasks), **more}


def test_whoever_has_calls_in_flight_is_waited_for() -> None:
    """A pool that counts them knows whom it asked; one that is loading for somebody else is no reason."""
    told = {"a": provider("loading", "ollama/a", in_flight=0), "b": provider("loading", "ollama/b:1", in_flight=2)}
    assert loading(told, task="chat", model=None) == "b:1"
    assert loading({"a": told["a"]}, task="chat", model=None) == ""


def test_behind_any_name_it_is_the_one_that_was_asked_for() -> None:
    told = {"a": provider("loading", "local/*", tasks=(), in_flight=1)}
    assert loading(told, task="chat", model="local/org/m") == "org/m"
    assert loading(told, task="chat", model="an-alias") == "a model"
    uncounted = {"a": provider("loading", "local/*", tasks=())}
    assert loading(uncounted, task="chat", model="local/m") == "m"
    assert loading(uncounted, task="chat", model="other/m") == ""


def test_of_a_pool_that_does_not_count_those_who_could_be_asked_are_taken() -> None:
    told = {
        "a": provider("loading", "ollama/a", tasks=("judge",)),
        "b": provider("healthy", "ollama/b"),
        "c": provider("loading", "ollama/c", "ollama/d", tasks=("chat",)),
    }
    assert loading(told, task="chat", model=None) == "c"
    assert loading(told, task="chat", model="task/chat") == "c"
    assert loading(told, task="chat", model="ollama/d") == "d"
    assert loading(told, task="chat", model="ollama/b") == ""


@pytest.mark.parametrize(
    "providers",
    [
        {},
        {"a": "loading"},
        {"a": {"state": "loading"}},
        {"a": {"state": "loading", "models": 7, "tasks": None}},
        {"a": {"state": ["loading"], "models": [None], "tasks": ["*"], "in_flight": "1"}},
    ],
)
def test_what_another_pool_leaves_out_breaks_nothing(providers: dict[str, Any]) -> None:
    assert loading(providers, task="chat", model=None) == ""


def test_a_name_is_fit_for_the_line() -> None:
    told = {"a": provider("loading", "x/" + "\x1b[2J\n" + "m" * 200)}
    name = loading(told, task="chat", model=None)
    assert name.startswith("\ufffd[2J m")
    assert len(name) == 48
