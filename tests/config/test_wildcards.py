"""A table with models = ["*"] passes any name on, and answers nothing by itself: what is said of it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm_pool.config.catalog import LONGEST_HINT, Catalog
from llm_pool.config.load import ConfigError, Loaded, load
from llm_pool.config.report import report
from llm_pool.core.errors import UnknownModel

if TYPE_CHECKING:
    from pathlib import Path

ANY = '[[providers]]\nname = "open"\ndriver = "openai"\nmodels = ["*"]\n'
SIM = '[[providers]]\nname = "a"\ndriver = "sim"\nmodel = "m"\n'


def loaded(directory: Path, toml: str) -> Loaded:
    path = directory / "llm-pool.toml"
    path.write_text(toml)
    return load(path, {})


def catalog(directory: Path, toml: str) -> Catalog:
    it = loaded(directory, toml)
    return Catalog.of(it.settings, it.prompts)


# --- Tasks ------------------------------------------------------------------------------------------------------


def test_it_serves_no_task_and_the_tasks_are_there_for_who_names_a_model(tmp_path: Path) -> None:
    alone = catalog(tmp_path, ANY)
    assert {task.providers for task in alone.tasks.values()} == {()}
    assert {"chat", "judge", "expand_queries"} <= alone.tasks.keys()
    assert {task.providers for task in catalog(tmp_path, ANY + SIM).tasks.values()} == {("a",)}


def test_as_a_fallback_it_serves_none_either(tmp_path: Path) -> None:
    both = catalog(tmp_path, SIM + ANY + "fallback = true\n")
    assert both.tasks["chat"].providers == ("a",)


def test_check_config_says_that_nobody_answers_unless_a_model_is_named(tmp_path: Path) -> None:
    assert "fastest of nobody, unless a model is named  # " in report(loaded(tmp_path, ANY), {})
    only = SIM + 'tasks = ["judge"]\n'
    assert "fastest of nobody  # " in report(loaded(tmp_path, only), {})


def test_a_task_that_is_given_to_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, '[tasks.judge]\nproviders = ["a", "open"]\n' + ANY + SIM)
    why = '"open" has models = ["*"] and is asked only for models that are named; list its models'
    assert caught.value.problems == (f"llm-pool.toml:2: tasks.judge.providers: {why}",)


# --- What an unknown name may mean --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("opnai/gpt-4o-mini", "openai/gpt-4o-mini"),
        ("meta/llama-3.1-8b", "openai/meta/llama-3.1-8b"),
        ("sim/mm", "sim/m"),
        ("pool/fastst", "pool/fastest"),
    ],
)
def test_a_bare_name_is_led_to_whoever_takes_any(asked: str, meant: str, tmp_path: Path) -> None:
    known = catalog(tmp_path, ANY + SIM).alike(asked)
    assert UnknownModel("model", asked, known).details["nearest"] == meant


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "openai",
        "openai/",
        "sim/zzz",
        "pool/zzz",
        "task/zzz",
        "anthropic/",
        "é" * 9,
        "a\nb",
        "x" * (LONGEST_HINT + 1),
    ],
)
def test_what_cannot_be_meant_or_told_back_is_not_offered(asked: str, tmp_path: Path) -> None:
    it = catalog(tmp_path, ANY + SIM)
    assert it.alike(asked) == it.model_ids


# --- Keys ---------------------------------------------------------------------------------------------------------


def test_who_has_no_key_is_listed_with_the_variable(tmp_path: Path) -> None:
    local = '[[providers]]\nname = "local"\ndriver = "openai"\nbase_url = "http://127.0.0.1:8000/v1"\nmodels = ["*"]\n'
    claude = '[[providers]]\nname = "claude"\ndriver = "anthropic"\nmodel = "c"\napi_key = "env:MINE"\n'
    it = loaded(tmp_path, SIM + ANY + local + claude)
    told = "without a key, so not asked:\n  open    # OPENAI_API_KEY is not set\n  claude  # MINE is not set\n"
    assert told in report(it, {"OPENAI_API_KEY": "", "OLLAMA_API_KEY": "canary"})
    assert "  claude  # MINE is not set\n" in report(it, {"OPENAI_API_KEY": "canary"})
    both = report(it, {"OPENAI_API_KEY": "canary", "MINE": "canary"})
    assert "without a key" not in both
    assert "canary" not in both


@pytest.mark.parametrize(
    ("toml", "told"),
    [(SIM, True), (SIM + ANY + "fallback = true\n", True), (SIM + "fallback = true\n", False)],
)
def test_a_fallback_tier_that_is_counted_on_and_not_there_is_told(toml: str, told: bool, tmp_path: Path) -> None:
    wanted = 'qos.fallback_unconfigured = "builtin"\n' + toml
    says = 'qos.fallback_unconfigured is "builtin", but no [[providers]] table with models has fallback = true'
    assert (says in report(loaded(tmp_path, wanted), {})) is told
    assert says not in report(loaded(tmp_path, toml), {})
