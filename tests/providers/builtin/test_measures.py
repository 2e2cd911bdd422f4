"""Numbers, dates and words that are known for what they are, in the fields of candidates and in texts."""

from __future__ import annotations

from typing import Any

import pytest

from llm_pool.providers.builtin.features import dated, kind_of
from llm_pool.providers.builtin.numbers import bounds, mentions
from tests.providers.builtin.asking import asked


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("review count", "popularity"),
        ("prep time min", "duration"),
        ("battery hours", None),
        ("days ago", None),
        ("price id", None),
        ("published date", "date"),
    ],
)
def test_the_name_of_a_field_tells_what_it_counts(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


def test_dates_are_read_in_both_orders() -> None:
    assert dated("31/12/2021") == dated("2021-12-31")
    assert dated("2021") == 2021
    assert dated("soon") is None


@pytest.mark.parametrize(
    ("text", "minutes"), [("1h30", 90), ("1:30:00", 90), ("4:30", 4.5), ("PT1H30M", 90), ("PT45S", 0.75), ("2 h", 120)]
)
def test_durations_are_read_however_they_are_written(text: str, minutes: float) -> None:
    (mention,) = mentions(text)
    assert (mention.kind, mention.value) == ("duration", minutes)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("10 to 20 hours", 600, 1200),
        ("rating > 4", 4, None),
        ("rating 4+", 4, None),
        ("under $5m", None, 5_000_000),
        ("cheaper than 30", None, 30),
    ],
)
def test_limits_are_read_however_they_are_written(text: str, low: float | None, high: float | None) -> None:
    (bound,) = bounds(text)
    assert low is None or bound.low == low
    assert high is None or bound.high == high


def test_milliseconds_and_minutes_are_compared() -> None:
    songs: list[dict[str, Any]] = [{"id": 1, "title": "song", "duration_ms": 400_000}]
    songs.append({"id": 2, "title": "song", "duration_min": 3})
    question = {"query": "song", "criteria": "under 5 minutes", "candidates": songs}
    assert asked("judge", question)["winner_id"] == 2


def test_what_surrounds_a_number_in_a_field_is_no_failure() -> None:
    candidates = [{"id": 1, "price": "7\x1f"}, {"id": 2, "price": " 9\n"}]
    assert asked("rerank_candidates", {"query": "cheapest", "candidates": candidates})["ranking"] == [1, 2]


def test_profanity_is_flagged() -> None:
    assert asked("enrich_metadata", "This shit of a table has four legs.")["content_flags"] == ["profanity"]
