"""Resolve what a request left open - task, prompt, answer schema, strategy, defaults - all from one configuration."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from llm_pool.config.catalog import DEFAULT_TASK
from llm_pool.config.schemas import narrowed, spec_of
from llm_pool.config.settings import ACTIVE_STRATEGIES
from llm_pool.core import candidates
from llm_pool.core.errors import InvalidRequest, UnknownModel, UnknownName, UnknownTask
from llm_pool.core.types import NOTHING_SAID, Message, Text, Warning, replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_pool.config.catalog import Catalog, Task
    from llm_pool.core.candidates import Id
    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Request, Sampling


# Of ids, which tokenizers cut small: a UUID of 36 characters is some 20 tokens.
CHARACTERS_PER_TOKEN = 2
PUNCTUATION = 4  # characters around each: quotes, a comma, a blank


class Preparing:
    def __init__(self, catalog: Catalog, *, version: str) -> None:
        self._catalog = catalog
        self._version = version
        self._systems = {task.name: Message.of("system", task.system) for task in catalog.tasks.values() if task.system}

    def open(self, request: Request, then: Ask) -> Answering:
        """Raises UnknownTask, UnknownModel, InvalidRequest."""
        return then(self._prepared(request))

    def _prepared(self, request: Request) -> Request:
        request = self._unaliased(request)
        if request.operation != "chat":
            return self._operation(request)
        task = self._catalog.tasks.get(request.task)
        if task is None:
            raise UnknownTask("task", request.task, self._catalog.tasks)
        self._check_model(request)
        strategy = self._strategy(request, task)
        request.trace.task = request.task
        request.trace.strategy = strategy
        request.trace.config_version = self._version
        if request.verbatim:
            return replace(request, strategy=strategy, whole=request.whole or request.spec is not None)
        spec, defaults = task.spec, task.sampling
        if spec is not None and (task.ids.each or task.ids.one) and (question := candidates.read(_question(request))):
            spec = spec_of(narrowed(spec.schema, question.ids, each=task.ids.each, one=task.ids.one))
            if task.ids.each:
                defaults = _roomier(defaults, question.ids)
        spec = request.spec or spec
        return replace(
            request,
            messages=self._messages(request, task),
            strategy=strategy,
            sampling=_sampling(request.sampling, defaults),
            spec=spec,
            # An answer that may turn out not to fit must not have been begun.
            whole=request.whole or spec is not None,
        )

    def _operation(self, request: Request) -> Request:
        """To embed and to count is no task: the model must be named, for another one's vectors are not comparable."""
        if request.model is None:
            raise InvalidRequest("model: must name one, as provider/model", field="model")
        self._check_model(request)
        trace = request.trace
        trace.task, trace.strategy, trace.config_version = request.operation, "fastest", self._version
        return replace(request, task=request.operation, strategy="fastest", whole=True)

    def _check_model(self, request: Request) -> None:
        if request.model is not None and not self._catalog.knows(request.model):
            raise UnknownModel("model", request.model, self._catalog.alike(request.model))

    def _messages(self, request: Request, task: Task) -> tuple[Message, ...]:
        """The task's prompt stands before whatever the caller says, untouched by it. Where the answer is free text, a
        caller who gives a system message has said it already.
        """
        system = self._systems.get(task.name)
        if system is None:
            return request.messages
        if task.spec is None:
            for message in request.messages:
                if message.role == "system":
                    return request.messages
        return (system, *request.messages)

    def _unaliased(self, request: Request) -> Request:
        """Aliases, `pool/<strategy>` and `task/<task>` are model ids too."""
        if request.model is None:
            return request
        model = self._catalog.aliases.get(request.model)
        if model is None:
            model = request.model
        else:
            request = replace(request, model=model)
        prefix, _, name = model.partition("/")
        if prefix == "pool":
            if request.strategy is not None and request.strategy.casefold() != name.casefold():
                raise InvalidRequest("strategy: is another one than the model names", field="strategy")
            if name.casefold() not in self._catalog.strategies:
                raise UnknownModel("model", model, self._catalog.model_ids)
            return replace(request, model=None, strategy=name)
        if prefix == "task":
            if request.task not in {DEFAULT_TASK, name}:
                raise InvalidRequest("task: is another one than the model names", field="task")
            # Who names a task wants its prompt and its limits, whatever protocol is spoken.
            return replace(request, model=None, task=name, verbatim=False)
        return request

    def _strategy(self, request: Request, task: Task) -> str:
        asked = request.strategy or task.strategy
        strategy = asked.casefold()
        if strategy not in self._catalog.strategies:
            unknown = UnknownName("strategy", asked, self._catalog.strategies)
            raise InvalidRequest(f"strategy: {unknown.message}", field="strategy")
        if strategy in ACTIVE_STRATEGIES:
            return strategy
        told = f"{strategy} is not built yet: answered by fastest"
        request.trace.notes.append(told)
        if request.verbatim:  # whose protocol has no place for notes
            request.trace.warnings.append(Warning("strategy_not_built", told))
        return "fastest"


def _sampling(said: Sampling, defaults: Sampling) -> Sampling:
    """A task says how long and how freely; the rest is the caller's."""
    if said is NOTHING_SAID:
        return defaults
    return dataclasses.replace(
        said,
        max_tokens=defaults.max_tokens if said.max_tokens is None else said.max_tokens,
        temperature=defaults.temperature if said.temperature is None else said.temperature,
    )


def _roomier(defaults: Sampling, ids: Sequence[Id]) -> Sampling:
    """Room for an answer that holds all these ids: one that is cut off is none."""
    room = sum(len(str(each)) + PUNCTUATION for each in ids) // CHARACTERS_PER_TOKEN
    return dataclasses.replace(defaults, max_tokens=(defaults.max_tokens or 0) + room)


def _question(request: Request) -> str:
    """What the user said last."""
    for message in reversed(request.messages):
        if message.role == "user":
            return "".join(part.text for part in message.parts if isinstance(part, Text))
    return ""
