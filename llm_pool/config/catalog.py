"""What can be asked for: the tasks, models and strategies that one configuration knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from llm_pool.config.prompts import Ids, Prompt
from llm_pool.config.schemas import spec_of
from llm_pool.config.settings import ACTIVE_STRATEGIES, OPERATIONS, STRATEGIES, TaskTable
from llm_pool.config.tables import KEYS, RESERVED
from llm_pool.core.errors import nearest
from llm_pool.core.types import Sampling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_pool.config.settings import Settings
    from llm_pool.config.tables import ProviderTable
    from llm_pool.core.types import Spec

DEFAULT_TASK = "chat"
LONGEST_HINT = 80  # characters of a name that a caller made up and that is told back


@dataclass(frozen=True, slots=True)
class Task:
    """One task, with everything that `[tasks.NAME]` and its prompt file say, and the defaults for what they do not."""

    name: str
    system: str  # the system message; empty: none
    spec: Spec | None
    ids: Ids
    sampling: Sampling
    strategy: str
    providers: tuple[str, ...]  # the names of the [[providers]] that serve it unnamed, fallbacks included


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
        offered = [
            name
            for name in sorted(named_tasks.union(found))
            # A built-in task that the configuration neither names nor gives to anybody is not offered.
            if name in named_tasks or any(_takes(table, name, settings.tasks.get(name)) for table in providers)
        ]
        return cls(
            tasks={name: _task(name, settings, found.get(name, Prompt())) for name in offered},
            models=tuple(dict.fromkeys(named)),
            aliases=dict(settings.models.aliases),
            unconfigured=frozenset(KEYS).difference(table.prefix for table in providers),
            wildcards=frozenset(table.prefix for table in providers if table.any_model),
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

    def alike(self, model: str) -> list[str]:
        """What somebody who asked for an unknown model may have meant: what may be named, and with it the same name of
        each provider that takes any. Such a name is the caller's: only one fit for a message and a header is told back.
        """
        prefix, _, rest = model.partition("/")
        known = {*RESERVED, *self.unconfigured, *self.wildcards, *(each.partition("/")[0] for each in self.models)}
        if not model or len(model) > LONGEST_HINT or prefix in known or not (model.isascii() and model.isprintable()):
            return self.model_ids
        hints = [
            f"{wildcard}/{rest if rest and nearest(prefix, [wildcard]) else model}"  # `opnai/x` is not `openai/opnai/x`
            for wildcard in sorted(self.wildcards)
        ]
        return [*self.model_ids, *hints]


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
    """A table that takes any model serves no task by itself: somebody has to name one."""
    return not provider.any_model and _takes(provider, task, table)


def _takes(provider: ProviderTable, task: str, table: TaskTable | None) -> bool:
    """Who takes a task is said by the task, or else by the providers. The fallback tier stands behind both."""
    named = table.providers if table is not None else None
    if named is not None and (provider.name in named or not provider.fallback):
        return provider.name in named
    return not provider.tasks or task in provider.tasks
