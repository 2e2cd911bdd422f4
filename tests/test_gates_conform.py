"""Every gate and every strategy keeps the rules of a gate (docstring of `llm_pool/core/streams.py`).

A new gate is one more line of `GATES`; the last test here fails until it has it.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING

import pytest

from llm_pool import dispatch, gates, strategies
from llm_pool.config.catalog import Catalog
from llm_pool.core.ports.provider import Health
from llm_pool.core.streams import Gate, nested
from llm_pool.dispatch.admission import Admission, Turns
from llm_pool.dispatch.attempts import Attempts
from llm_pool.dispatch.balance import balance_of
from llm_pool.dispatch.learned import Learned
from llm_pool.dispatch.line import lines
from llm_pool.dispatch.metering import Metering
from llm_pool.dispatch.router import Deployment, Router
from llm_pool.dispatch.slots import Fixed, Slots
from llm_pool.gates.preparing import Preparing
from llm_pool.gates.recording import Recording
from llm_pool.strategies.chosen import Chosen
from llm_pool.strategies.fastest import Fastest
from llm_pool.telemetry.metrics import Metrics
from tests.conform import CHECKS, Check, Subject
from tests.scripted import InOrder, Scripted, pool_of, settings_of, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from llm_pool.core.streams import Ask

SETTINGS = settings_of({"a": {}})


def now() -> float:
    return asyncio.get_running_loop().time()


def deployment(provider: Scripted, name: str = "a") -> Deployment:
    return Deployment(
        name=name, model="sim/m", upstream="m", provider=provider, standing=standing(name), tasks=frozenset({"chat"})
    )


GATES: dict[str, Callable[[Metrics], Gate]] = {
    "recording": lambda metrics: Recording(metrics, now=now),
    "preparing": lambda _: Preparing(Catalog.of(SETTINGS), version="v"),
    "chosen": lambda _: Chosen({"fastest": Fastest()}),
    "fastest": lambda _: Fastest(),
    "metering": lambda metrics: Metering(deployment(Scripted()), metrics, now=now),
    "admission": lambda _: Admission(Slots(Fixed(1), now=now)),
    "turns": lambda _: Turns(Slots(Fixed(1), now=now), "a"),
}


def health(name: str) -> Health:
    return Health("healthy" if name == "a" else "unhealthy")


def above(make: Callable[[Metrics], Gate]) -> Callable[[Scripted, Metrics], Ask]:
    return lambda upstream, metrics: nested([make(metrics)], upstream)


def attempts(upstream: Scripted, metrics: Metrics) -> Ask:
    """`Attempts` with two deployments of the upstream; "b" is asked last."""
    chance = InOrder()
    balance = balance_of("latency", random=chance, now=now)
    router = Router([deployment(upstream, name) for name in "ab"], health=health, balance=balance)
    learned = Learned(metrics=metrics, now=now, random=chance)
    line = lines(metrics, now=now)
    return Attempts(router, metrics, line=line, learned=learned, max_retries=0, random=chance).ask


def pool(upstream: Scripted, metrics: Metrics) -> Ask:
    """Everything, as `app` composes it, through the front door."""
    once = {"qos": {"max_retries": 0}}
    return pool_of({"a": upstream, "b": upstream}, states={"b": "unhealthy"}, metrics=metrics, sections=once).open


SUBJECTS = (
    *(Subject(name, above(make), counts=name == "recording") for name, make in GATES.items()),
    Subject("attempts", attempts, fails_over=True),
    Subject("pool", pool, fails_over=True, counts=True),
)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "stream"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
async def test_a_gate_keeps_the_rules(subject: Subject, check: Check, whole: bool) -> None:
    await check(subject, whole=whole)


# --- No gate is forgotten ---------------------------------------------------------------------------------------


def modules_of(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def is_gate(kind: type) -> bool:
    method = vars(kind).get("open")
    return inspect.isfunction(method) and list(inspect.signature(method).parameters) == ["self", "request", "then"]


@pytest.mark.parametrize("package", [gates, strategies, dispatch], ids=lambda package: package.__name__)
def test_every_gate_of_the_pool_is_put_to_the_rules(package: ModuleType) -> None:
    found = {
        kind
        for module in modules_of(package)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__ and is_gate(kind)
    }
    assert found, "the scan finds nothing"
    tested = {type(make(Metrics())) for make in GATES.values()}
    missing = sorted(kind.__qualname__ for kind in found - tested)
    assert not missing, f"give each of {missing} a line in GATES"
