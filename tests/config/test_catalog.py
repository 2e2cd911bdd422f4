"""What can be asked for, from one configuration."""

from __future__ import annotations

from pathlib import Path

from llm_pool.config.catalog import Catalog
from llm_pool.config.load import load
from llm_pool.config.settings import STRATEGIES, Settings

REPOSITORY = Path(__file__).parents[2]


def test_the_default_file_knows_the_tasks_and_models_of_the_table() -> None:
    loaded = load(REPOSITORY / "llm-pool.toml", {})
    catalog = Catalog.of(loaded.settings, loaded.prompts)
    assert set(catalog.tasks) == {
        "chat", "expand_queries", "site_tactics", "rerank_candidates", "judge", "recovery_plan", "enrich_metadata",
    }  # fmt: skip
    assert catalog.models == ("ollama/phi3:mini", "ollama/llama3.1:8b", "ollama/gemma2:9b", "builtin/extractive")
    assert catalog.wildcards == frozenset()
    assert catalog.strategies == STRATEGIES
    routed = {task.name: (task.strategy, task.providers) for task in catalog.tasks.values()}
    assert routed == {
        "chat": ("fastest", ("phi3", "llama", "gemma", "builtin")),
        "expand_queries": ("fastest", ("phi3", "llama", "builtin")),
        "site_tactics": ("judge", ("llama", "gemma", "builtin")),
        "rerank_candidates": ("judge", ("llama", "gemma", "builtin")),
        "judge": ("judge", ("llama", "gemma", "builtin")),
        "recovery_plan": ("fastest", ("phi3", "llama", "builtin")),
        "enrich_metadata": ("fastest", ("phi3", "builtin")),
    }
    assert all(task.system for task in catalog.tasks.values())
    assert [name for name, task in catalog.tasks.items() if task.spec is None] == ["chat"]


def test_ids_are_unique_and_wildcards_take_any_rest() -> None:
    catalog = Catalog.of(
        Settings.model_validate({
            "ensemble": {"default_strategy": "Voting", "strategy_by_task": {"only_here": "JUDGE"}},
            "providers": [
                {"name": "a", "driver": "sim", "models": ["x", "org/y"]},
                {"name": "b", "driver": "sim", "model": "x", "tasks": ["t"]},
                {"name": "c", "driver": "ollama", "provider": "any", "models": ["*"]},
            ],
        })
    )
    assert catalog.models == ("sim/x", "sim/org/y")
    assert set(catalog.tasks) == {"chat", "t", "only_here"}
    assert (catalog.tasks["t"].strategy, catalog.tasks["only_here"].strategy) == ("voting", "judge")
    assert all(catalog.knows(model) for model in ("sim/x", "sim/org/y", "any/x", "any/org/x"))
    assert not any(catalog.knows(model) for model in ("sim/z", "x", "any", "any/", "ollama/x", "", "/"))
