"""What outlives a configuration, and what goes with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.config.settings import Breaker as BreakerSection
from llm_pool.config.settings import Qos
from llm_pool.core.errors import ProviderMisconfigured
from llm_pool.core.ports.provider import Health
from llm_pool.dispatch.breaker import Rules
from llm_pool.dispatch.learned import Learned
from llm_pool.dispatch.router import Deployment
from llm_pool.dispatch.standing import Standing, Terms
from llm_pool.telemetry.metrics import Metrics
from tests.scripted import InOrder, Scripted

if TYPE_CHECKING:
    from llm_pool.core.ports.provider import Provider
    from llm_pool.dispatch.standing import Permit


class Office:
    """What was learned, under one configuration after the other."""

    def __init__(self) -> None:
        self.at = 100.0
        self.metrics = Metrics()
        self.learned = Learned(metrics=self.metrics, now=lambda: self.at, random=InOrder())

    def apply(self, providers: dict[str, Provider], *, models: tuple[str, ...] = ("sim/m",), **terms: Any) -> None:
        """A configuration comes into effect: it has a table for each of these."""
        these = Terms(**terms)
        self.learned.adopt(
            Qos(),
            [
                Deployment(name, model, "m", provider, self.learned.standing(name, model, provider, these), terms=these)
                for name, provider in providers.items()
                for model in models
            ],
        )

    def of(self, name: str) -> Standing:
        [standing] = self.learned.of(name)
        return standing

    @property
    def gauges(self) -> dict[str, float]:
        return {
            sample.labels["deployment"]: sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "llm_pool_breaker_state"
        }


def begun(standing: Standing, times: int = 10) -> list[Permit]:
    return [standing.begin("chat", tokens=0, panic=False) for _ in range(times)]


def failed(permits: list[Permit]) -> None:
    for breaker, permit in permits:
        breaker.ended(permit, "failure")


# --- Who stays who ----------------------------------------------------------------------------------------------


def test_a_deployment_whose_provider_stays_the_same_keeps_what_was_learned() -> None:
    office, provider = Office(), Scripted()
    office.apply({"a": provider})
    before = office.of("a")
    failed(begun(before))
    office.apply({"a": provider, "b": Scripted()}, max_concurrent=3)
    assert office.of("a") is before
    assert before.refusal("chat") is not None
    assert before.slots is not None
    assert before.slots.limit == 3


def test_one_whose_provider_is_another_begins_anew() -> None:
    office = Office()
    office.apply({"a": Scripted()})
    before = office.of("a")
    failed(begun(before))
    office.apply({"a": Scripted()})
    assert office.of("a") is not before
    assert office.of("a").refusal("chat") is None


def test_two_models_of_one_table_are_known_apart() -> None:
    office = Office()
    office.apply({"a": Scripted()}, models=("sim/m", "sim/n"))
    first, second = office.learned.of("a")
    failed(begun(first))
    assert (first.model, second.model) == ("sim/m", "sim/n")
    assert second.refusal("chat") is None


def test_two_tables_of_one_provider_are_known_apart() -> None:
    office, provider = Office(), Scripted()
    office.apply({"a": provider, "b": provider})
    assert office.of("a") is not office.of("b")


def test_one_that_goes_and_comes_back_begins_anew() -> None:
    office, provider = Office(), Scripted()
    office.apply({"a": provider})
    failed(begun(office.of("a")))
    office.apply({})
    assert office.learned.of("a") == []
    office.apply({"a": provider})
    assert office.of("a").refusal("chat") is None


def test_a_standing_that_was_asked_for_and_never_came_into_effect_changes_nothing() -> None:
    """The configuration was refused half-way."""
    office, provider = Office(), Scripted()
    office.apply({"a": provider})
    before = office.of("a")
    other = office.learned.standing("a", "sim/m", Scripted(), Terms(max_concurrent=1))
    assert office.learned.standing("a", "sim/m", provider, Terms(max_concurrent=1)) is before
    assert office.of("a") is before is not other
    assert before.slots is None


# --- What new rules change --------------------------------------------------------------------------------------


def test_new_rules_count_at_once() -> None:
    office, provider = Office(), Scripted()
    office.apply({"a": provider})
    failed(begun(office.of("a"), 5))
    office.apply({"a": provider}, breaker=Rules.of(BreakerSection(min_calls=6)))
    failed(begun(office.of("a"), 1))
    assert office.of("a").refusal("chat") is not None


def test_the_rules_of_hedging_and_of_the_room_are_adopted() -> None:
    office = Office()
    office.learned.adopt(Qos(hedge="off", max_concurrent_requests=7, queue_timeout_ms=2_500), [])
    assert office.learned.hedging.rules.mode == "off"
    assert office.learned.hedging.begin("key") == float("inf")
    assert (office.learned.room.limit, office.learned.room.patience) == (7, 2.5)


def test_what_was_saved_up_is_not_given_anew() -> None:
    office = Office()
    while office.learned.retries.take():
        pass
    office.learned.adopt(Qos(), [])
    assert not office.learned.retries.take()


def test_the_same_terms_change_nothing() -> None:
    office, provider = Office(), Scripted()
    office.apply({"a": provider}, max_concurrent="adaptive", per_task=True)
    before = office.of("a")
    before.breaker("chat")
    slots, breakers = before.slots, dict(before.breakers)
    office.apply({"a": provider}, max_concurrent="adaptive", per_task=True)
    assert before.slots is slots
    assert before.breakers == breakers


# --- Metrics ----------------------------------------------------------------------------------------------------


def test_those_that_are_gone_disappear_from_the_metrics() -> None:
    office, stays = Office(), Scripted()
    office.apply({"a": Scripted(), "b": stays})
    for name in ("a", "b"):
        failed(begun(office.of(name)))
    assert office.gauges == {"a": 2.0, "b": 2.0}
    office.apply({"b": stays})
    assert office.gauges == {"b": 2.0}


def test_one_that_begins_anew_is_not_shown_as_what_it_was() -> None:
    office = Office()
    office.apply({"a": Scripted()})
    failed(begun(office.of("a")))
    office.apply({"a": Scripted()})
    assert office.gauges.get("a", 0.0) == 0.0


def test_calls_of_before_do_not_speak_for_the_one_that_took_its_name() -> None:
    """Its address was wrong and is mended; those who still wait at the old one fail."""
    office = Office()
    office.apply({"a": Scripted()})
    waiting = begun(office.of("a"))
    office.apply({"a": Scripted()})
    failed(waiting)
    assert office.of("a").refusal("chat") is None
    assert office.gauges.get("a", 0.0) == 0.0


# --- Recovery ---------------------------------------------------------------------------------------------------


def test_a_table_that_is_well_again_is_asked_again() -> None:
    office = Office()
    office.apply({"a": Scripted(), "b": Scripted()}, models=("sim/m", "sim/n"))
    every = [*office.learned.of("a"), *office.learned.of("b")]
    for standing in every:
        standing.cooldown.misconfigured(ProviderMisconfigured("no such model"))
    office.learned.looked("a", Health("healthy"), True)
    assert [standing.refusal("chat") is None for standing in every] == [True, True, False, False]


def test_a_look_that_found_it_no_better_tells_only_what_is_being_loaded() -> None:
    office = Office()
    office.apply({"a": Scripted(), "b": Scripted()}, models=("sim/m", "sim/n"))
    every = [*office.learned.of("a"), *office.learned.of("b")]
    for standing in every:
        failed(begun(standing))
    office.learned.looked("a", Health("loading", cold=frozenset({"n"})), False)
    assert [standing.loading for standing in every] == [False, True, False, False]
    assert all(standing.refusal("chat") for standing in every)
    office.learned.looked("a", Health("healthy"), True)
    assert not any(standing.loading for standing in every)
    assert [standing.refusal("chat") is None for standing in every] == [True, True, False, False]


def test_a_table_is_out_when_all_of_its_models_are() -> None:
    office = Office()
    office.apply({"a": Scripted(), "b": Scripted()}, models=("sim/m", "sim/n"))
    first, second = office.learned.of("a")
    first.operate("open")
    assert not office.learned.out("a")
    second.cooldown.misconfigured(ProviderMisconfigured("no such model"))
    assert office.learned.out("a")
    assert not office.learned.out("b")
    assert not office.learned.out("nobody")


def test_the_trouble_of_a_table_is_that_of_any_of_its_models() -> None:
    office = Office()
    office.apply({"a": Scripted(), "b": Scripted()}, models=("sim/m", "sim/n"))
    office.learned.of("a")[1].cooldown.misconfigured(ProviderMisconfigured("no such model"))
    assert [office.learned.trouble(name) for name in ("a", "b", "nobody")] == ["no such model", "", ""]


def test_who_is_left_alone_is_shown_before_every_scrape_and_who_is_gone_is_not() -> None:
    office, provider = Office(), Scripted()

    def shown() -> dict[tuple[str, str], float]:
        return {
            (sample.labels["deployment"], sample.labels["model"]): sample.value
            for family in office.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "llm_pool_provider_resting"
        }

    office.apply({"a": provider}, models=("sim/m", "sim/n"))
    first, second = office.learned.of("a")
    assert shown() == {("a", "sim/m"): 0.0, ("a", "sim/n"): 0.0}
    first.cooldown.limited(5.0)
    assert shown() == {("a", "sim/m"): 1.0, ("a", "sim/n"): 0.0}
    second.cooldown.misconfigured(ProviderMisconfigured("who are you"))
    office.at += 5.0  # it may be asked again, though nobody has
    assert shown() == {("a", "sim/m"): 0.0, ("a", "sim/n"): 1.0}
    office.apply({"a": provider})
    assert shown() == {("a", "sim/m"): 0.0}


@pytest.mark.parametrize("name", ["nobody", ""])
def test_nobody_recovers_where_nobody_is(name: str) -> None:
    Office().learned.looked(name, Health("healthy"), True)


def test_a_copy_of_a_deployment_shares_its_standing() -> None:
    """As the router makes for a request that names its model."""
    office, provider = Office(), Scripted()
    standing = office.learned.standing("a", "any/*", provider, Terms())
    whole = Deployment("a", "any/*", "*", provider, standing)
    office.learned.adopt(Qos(), [whole])
    named = replace(whole, model="any/x", upstream="x")
    failed([named.standing.begin("chat", tokens=0, panic=False) for _ in range(10)])
    assert whole.standing.refusal("chat") is not None
