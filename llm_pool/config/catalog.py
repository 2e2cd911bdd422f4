"""What can be asked for: the tasks, models and strategies that one configuration knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from llm_pool.config.prompts import Ids, Prompt
from llm_pool.config.schemas import spec_of
from llm_pool.config.settings import ACTIVE_STRATEGIES, OPERATIONS, STRATEGIES, TaskTable
from llm_pool.config.tables import KEYS
from llm_pool.core.types import Sampling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_pool.config.settings import Settings
    from llm_pool.config.tables import ProviderTable
    from llm_pool.core.types import Spec

DEFAULT_TASK = "chat"


@dataclass(frozen=True, slots=True)
class Task:
    """One task, with everything that `[tasks.NAME]` and its prompt file say, and the defaults for what they do not."""

    name: str
    system: str  # the system message; empty: none
    spec: Spec | None
    ids: Ids
    sampling: Sampling
    strategy: str
    providers: tuple[str, ...]  # the names of the [[providers]] that serve it, fallbacks included


@dataclass(frozen=True, slots=True)
class Catalog:
    tasks: Mapping[str, Task]
    models: tuple[str, ...]  # public ids, `<provider>/<model>`, in the order of the file, each once
    aliases: Mapping[str, str]  # other names of model ids
    unconfigured: frozenset[str]  # first parts of ids whose provider is known, and has no table
    wildcards: frozenset[str]  # first parts of ids whose provider serves any model by name
    strategies: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings, prompts: Mapping[str, Prompt] | None = None) -> Self:
        """`prompts` by task, as `load` found them."""
        found = prompts or {}
        providers = settings.providers
        named = [f"{table.prefix}/{model}" for table in providers for model in table.served if model != "*"]
        named_tasks = task_names(settings)
        tasks = [_task(name, settings, found.get(name, Prompt())) for name in sorted(named_tasks.union(found))]
        return cls(
            # A built-in task that the configuration neither names nor gives to anybody is not offered.
            tasks={task.name: task for task in tasks if task.name in named_tasks or task.providers},
            models=tuple(dict.fromkeys(named)),
            aliases=dict(settings.models.aliases),
            unconfigured=frozenset(KEYS).difference(table.prefix for table in providers),
            wildcards=frozenset(table.prefix for table in providers if "*" in table.served),
            strategies=STRATEGIES,
        )

    def knows(self, model: str) -> bool:
        """Whether this id names a model of a deployment, or of a provider that would only need a table. The first `/`
        divides: `openrouter/meta/llama` is `meta/llama`.
        """
        prefix, _, rest = model.partition("/")
        return model in self.models or (bool(rest) and (prefix in self.wildcards or prefix in self.unconfigured))

    @property
    def model_ids(self) -> list[str]:
        """Everything that may be named as `model`: models, aliases, then `pool/<strategy>`, then `task/<task>`."""
        strategies = [f"pool/{strategy}" for strategy in ACTIVE_STRATEGIES]
        return [*self.models, *self.aliases, *strategies, *(f"task/{task}" for task in self.tasks)]


def task_names(settings: Settings) -> set[str]:
    """Every task that a configuration names."""
    ensemble = settings.ensemble.strategy_by_task
    named = {DEFAULT_TASK, *ensemble, *settings.tasks}.union(*(table.tasks for table in settings.providers))
    return named - OPERATIONS


def _task(name: str, settings: Settings, prompt: Prompt) -> Task:
    table, head = settings.tasks.get(name) or TaskTable(), prompt.head
    ensemble = settings.ensemble
    temperature = head.temperature if table.temperature is None else table.temperature
    return Task(
        name=name,
        system=prompt.system,
        spec=prompt.spec if table.answer is None else spec_of(table.answer),
        ids=head.ids if table.answer is None else Ids(),
        sampling=Sampling(
            max_tokens=table.max_tokens or head.max_tokens or settings.qos.max_tokens_default, temperature=temperature
        ),
        strategy=table.strategy or ensemble.strategy_by_task.get(name, ensemble.default_strategy),
        providers=tuple(each.name for each in settings.providers if _serves(each, name, table)),
    )


def _serves(provider: ProviderTable, task: str, table: TaskTable) -> bool:
    """Who serves a task is said by the task, or else by the providers. The fallback tier stands behind both."""
    if table.providers is not None and (provider.name in table.providers or not provider.fallback):
        return provider.name in table.providers
    return not provider.tasks or task in provider.tasks
