"""What can be asked for, from one configuration."""

from __future__ import annotations

from pathlib import Path

from llm_pool.config.catalog import Catalog
from llm_pool.config.load import load
from llm_pool.config.settings import STRATEGIES, Settings

REPOSITORY = Path(__file__).parents[2]


def test_the_default_file_knows_the_tasks_and_models_of_the_table() -> None:
    catalog = Catalog.of(load(REPOSITORY / "llm-pool.toml", {}).settings)
    assert catalog.tasks == {
        "chat", "expand_queries", "site_tactics", "rerank_candidates", "judge", "recovery_plan", "enrich_metadata",
    }  # fmt: skip
    assert catalog.models == ("ollama/phi3:mini", "ollama/llama3.1:8b", "ollama/gemma2:9b", "sim/stand-in")
    assert catalog.wildcards == frozenset()
    assert catalog.strategies == STRATEGIES
    assert catalog.strategy_for("judge") == "judge"
    assert catalog.strategy_for("chat") == "fastest"


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
    assert catalog.tasks == {"chat", "t", "only_here"}
    assert (catalog.strategy_for("t"), catalog.strategy_for("only_here")) == ("voting", "judge")
    assert all(catalog.knows(model) for model in ("sim/x", "sim/org/y", "any/x", "any/org/x"))
    assert not any(catalog.knows(model) for model in ("sim/z", "x", "any", "any/", "ollama/x", "", "/"))
