"""What can be asked for: the tasks, models and strategies that one configuration knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from llm_pool.config.settings import ACTIVE_STRATEGIES, STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_pool.config.settings import Settings

DEFAULT_TASK = "chat"


@dataclass(frozen=True, slots=True)
class Catalog:
    tasks: frozenset[str]
    models: tuple[str, ...]  # public ids, `<provider>/<model>`, in the order of the file, each once
    wildcards: frozenset[str]  # first parts of ids whose provider serves any model by name
    strategies: tuple[str, ...]
    default_strategy: str
    strategy_by_task: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        ensemble, providers = settings.ensemble, settings.providers
        named = [f"{table.prefix}/{model}" for table in providers for model in table.served if model != "*"]
        return cls(
            tasks=frozenset({DEFAULT_TASK, *ensemble.strategy_by_task}.union(*(table.tasks for table in providers))),
            models=tuple(dict.fromkeys(named)),
            wildcards=frozenset(table.prefix for table in providers if "*" in table.served),
            strategies=STRATEGIES,
            default_strategy=ensemble.default_strategy,
            strategy_by_task=dict(ensemble.strategy_by_task),
        )

    def knows(self, model: str) -> bool:
        """Whether a deployment serves this id. The first `/` divides: `openrouter/meta/llama` is `meta/llama`."""
        prefix, _, rest = model.partition("/")
        return model in self.models or (bool(rest) and prefix in self.wildcards)

    def strategy_for(self, task: str) -> str:
        return self.strategy_by_task.get(task, self.default_strategy)

    @property
    def model_ids(self) -> list[str]:
        """Everything that may be named as `model`: the models, then `pool/<strategy>`, then `task/<task>`."""
        strategies = [f"pool/{strategy}" for strategy in ACTIVE_STRATEGIES]
        return [*self.models, *strategies, *(f"task/{task}" for task in sorted(self.tasks))]
