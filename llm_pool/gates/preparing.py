"""Resolve what a request left open - task, strategy, defaults - all from one configuration snapshot."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from llm_pool.config.catalog import DEFAULT_TASK
from llm_pool.config.settings import ACTIVE_STRATEGIES
from llm_pool.core.errors import InvalidRequest, UnknownModel, UnknownName, UnknownTask
from llm_pool.core.types import NOTHING_SAID, Sampling, replace

if TYPE_CHECKING:
    from llm_pool.config.catalog import Catalog
    from llm_pool.config.settings import Settings
    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Request


class Preparing:
    def __init__(self, settings: Settings, catalog: Catalog, *, version: str) -> None:
        self._max_tokens = settings.qos.max_tokens_default
        self._unsaid = Sampling(max_tokens=self._max_tokens)
        self._catalog = catalog
        self._version = version

    def open(self, request: Request, then: Ask) -> Answering:
        """Raises UnknownTask, UnknownModel, InvalidRequest."""
        return then(self._prepared(request))

    def _prepared(self, request: Request) -> Request:
        request = self._unaliased(request)
        if request.task not in self._catalog.tasks:
            raise UnknownTask("task", request.task, self._catalog.tasks)
        if request.model is not None and not self._catalog.knows(request.model):
            raise UnknownModel("model", request.model, self._catalog.model_ids)
        strategy = self._strategy(request)
        request.trace.task = request.task
        request.trace.strategy = strategy
        request.trace.config_version = self._version
        sampling = request.sampling
        if sampling is NOTHING_SAID:
            sampling = self._unsaid
        elif sampling.max_tokens is None:
            sampling = dataclasses.replace(sampling, max_tokens=self._max_tokens)
        return replace(request, strategy=strategy, sampling=sampling)

    def _unaliased(self, request: Request) -> Request:
        """`pool/<strategy>` and `task/<task>` are model ids too."""
        if request.model is None:
            return request
        prefix, _, name = request.model.partition("/")
        if prefix == "pool":
            if request.strategy is not None and request.strategy.casefold() != name.casefold():
                raise InvalidRequest("strategy: is another one than the model names", field="strategy")
            if name.casefold() not in self._catalog.strategies:
                raise UnknownModel("model", request.model, self._catalog.model_ids)
            return replace(request, model=None, strategy=name)
        if prefix == "task":
            if request.task not in {DEFAULT_TASK, name}:
                raise InvalidRequest("task: is another one than the model names", field="task")
            return replace(request, model=None, task=name)
        return request

    def _strategy(self, request: Request) -> str:
        asked = request.strategy or self._catalog.strategy_for(request.task)
        strategy = asked.casefold()
        if strategy not in self._catalog.strategies:
            unknown = UnknownName("strategy", asked, self._catalog.strategies)
            raise InvalidRequest(f"strategy: {unknown.message}", field="strategy")
        if strategy in ACTIVE_STRATEGIES:
            return strategy
        request.trace.notes.append(f"{strategy} is not built yet: answered by fastest")
        return "fastest"
