"""What models are called beside their ids, and where the key of a provider is that names none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from llm_pool.config.catalog import Catalog
from llm_pool.config.load import ConfigError, load
from llm_pool.config.settings import Settings
from llm_pool.config.tables import ProviderTable

if TYPE_CHECKING:
    from pathlib import Path


def settings(aliases: dict[str, str], **table: Any) -> Settings:
    provider = {"name": "a", "driver": "sim", "model": "m"} | table
    return Settings.model_validate({"providers": [provider], "models": {"aliases": aliases}})


def test_an_alias_is_listed_beside_the_models() -> None:
    catalog = Catalog.of(settings({"gpt-4o": "sim/m", "claude": "openrouter/anthropic/claude"}))
    assert catalog.aliases["gpt-4o"] == "sim/m"
    assert catalog.model_ids[:3] == ["sim/m", "gpt-4o", "claude"]


@pytest.mark.parametrize(
    ("alias", "model", "told"),
    [
        ("gpt-4o", "simm/m", 'did you mean "sim/..."?'),
        ("gpt-4o", "m", "is no model id"),
        ("gpt-4o", "sim/", "is no model id"),
        ("gpt-4o", "sim/mm", 'there is no model "sim/mm"; did you mean "sim/m"?'),
        ("gpt-4o", "pool/zzz", 'there is no model "pool/zzz"'),
        ("gpt-4o", "pool/fastst", 'did you mean "pool/fastest"?'),
        ("sim/m", "sim/n", "is itself a model id"),
        ("pool/fastest", "sim/m", "is itself a model id"),
        ("two words", "sim/m", "pattern"),
    ],
)
def test_an_alias_that_could_never_answer_is_refused(alias: str, model: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told.replace("?", r"\?").replace(".", r"\.")):
        settings({alias: model})


@pytest.mark.parametrize("model", ["sim/m", "any/x", "any/org/x", "pool/Voting", "task/judge", "openai/gpt-4o"])
def test_an_alias_may_name_what_somebody_could_answer(model: str) -> None:
    wildcard = {"name": "b", "driver": "ollama", "provider": "any", "models": ["*"]}
    known = Settings.model_validate({
        "providers": [{"name": "a", "driver": "sim", "model": "m"}, wildcard],
        "models": {"aliases": {"mine": model}},
    })
    assert known.models.aliases["mine"] == model


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("sim/mm", 'there is no model "sim/mm"; did you mean "sim/m"?'),
        ("task/juge", 'unknown task "juge"; did you mean "judge"?'),
        ("task/mine", 'unknown task "mine"'),
    ],
)
def test_a_wrong_alias_is_told_with_its_line(model: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "llm-pool.toml"
    provider = '[[providers]]\nname = "a"\ndriver = "sim"\nmodel = "m"\n'
    path.write_text(f'[models.aliases]\nfine = "task/judge"\n"gpt-4o" = "{model}"\n{provider}')
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert caught.value.problems == (f"llm-pool.toml:3: models.aliases: {told}",)


def table(driver: str, **keys: Any) -> ProviderTable:
    return ProviderTable.model_validate({"name": "a", "driver": driver, "model": "m", **keys})


def test_a_driver_finds_its_key_where_people_keep_it() -> None:
    assert table("openai").key == "env:OPENAI_API_KEY"
    assert table("openrouter").key == "env:OPENROUTER_API_KEY"
    assert table("anthropic").key == "env:ANTHROPIC_API_KEY"
    assert table("ollama").key is None
    assert table("openai", api_key="file:/k").key == "file:/k"


def test_a_server_of_ones_own_is_never_sent_the_key_meant_for_the_usual_one() -> None:
    assert table("openai", base_url="http://127.0.0.1:8080/v1").key is None


def test_known_providers_without_a_table_are_known_all_the_same() -> None:
    catalog = Catalog.of(settings({}))
    assert catalog.knows("openai/gpt-4o")
    assert not catalog.knows("openai/")
    assert not catalog.knows("nobody/gpt-4o")
    assert not Catalog.of(settings({}, driver="openai", base_url="http://h")).knows("openai/gpt-4o")


def test_a_model_for_embeddings_is_asked_for_no_task() -> None:
    both = [
        {"name": "a", "driver": "sim", "model": "words"},
        {"name": "b", "driver": "sim", "model": "vectors", "tasks": ["embed"]},
    ]
    catalog = Catalog.of(Settings.model_validate({"providers": both}))
    assert "embed" not in catalog.tasks
    assert {task.providers for task in catalog.tasks.values()} == {("a",)}
    assert catalog.knows("sim/vectors")


@pytest.mark.parametrize("name", ["embed", "count"])
def test_what_is_no_task_names_none(name: str) -> None:
    with pytest.raises(ValidationError, match="is no task"):
        Settings.model_validate({
            "providers": [{"name": "a", "driver": "sim", "model": "m"}],
            "tasks": {name: {"max_tokens": 5}},
        })
