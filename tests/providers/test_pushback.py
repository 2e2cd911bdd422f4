"""What providers say about waiting is heard in each of the ways they say it, and nonsense is never believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_pool.providers.pushback import AT_ONCE, LIMITS, LONGEST, wait_said

NOON = datetime(2025, 11, 20, 12, tzinfo=UTC)
NOW = NOON.timestamp()


def said(**headers: str) -> float | None:
    return wait_said({name.replace("_", "-"): value for name, value in headers.items()}, now=NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        (" 0.5 ", 0.5),
        ("007", 7.0),
        ("3600", 3600.0),
        ("3601", LONGEST),
        ("9" * 400, LONGEST),
        ("0", AT_ONCE),
        ("0.0", AT_ONCE),
        ("Thu, 20 Nov 2025 12:01:30 GMT", 90.0),
        ("Thursday, 20-Nov-25 12:01:30 GMT", 90.0),
        ("Thu Nov 20 12:01:30 2025", 90.0),
        ("Thu, 20 Nov 2025 11:00:00 GMT", AT_ONCE),
        ("Thu, 20 Nov 2026 12:00:00 GMT", LONGEST),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(text: str, seconds: float) -> None:
    assert said(Retry_After=text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "nan",
        "inf",
        "1e3",
        "1_0",
        "٣",
        "soon",
        "1 2",
        "0x10",
        "1,5",
        ".",
        "Thu, 31 Feb 2025 12:00:00 GMT",
    ],
)
def test_nonsense_is_not_said(text: str) -> None:
    assert said(retry_after=text) is None
    assert said(retry_after_ms=text) is None
    assert said(x_ratelimit_remaining="0", x_ratelimit_reset=text) is None


def test_milliseconds_are_the_finer_word_and_count_first() -> None:
    assert said(retry_after="1", retry_after_ms="250") == 0.25
    assert said(retry_after="1", retry_after_ms="-250") == 1.0


def test_a_date_is_measured_by_the_clock_of_who_wrote_it() -> None:
    hour_slow = format_datetime(NOON - timedelta(hours=1), usegmt=True)
    until = format_datetime(NOON - timedelta(minutes=59), usegmt=True)
    assert said(date=hour_slow, retry_after=until) == 60.0
    assert said(date=hour_slow, x_ratelimit_remaining="0", x_ratelimit_reset="2025-11-20T11:01:00Z") == 60.0
    assert said(date="today", retry_after="Thu, 20 Nov 2025 12:01:00 GMT") == 60.0


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1s", 1.0),
        ("12ms", 0.012),
        ("6m0s", 360.0),
        ("1m2.5s", 62.5),
        ("1h0m1s", LONGEST),
        ("59m59s", 3599.0),
        ("500us", 0.0005),
        ("500\u00b5s", 0.0005),
        ("7", 7.0),
        ("0.25", 0.25),
        (f"{NOW + 20:.0f}", 20.0),
        (f"{(NOW + 20) * 1000:.0f}", 20.0),
        ("2025-11-20T12:00:30Z", 30.0),
        ("2025-11-20T13:00:30.5+01:00", 30.5),
        ("2025-11-20T12:00:30", 30.0),
    ],
)
@pytest.mark.parametrize("name", LIMITS)
def test_a_reset_is_a_duration_a_number_or_an_instant(name: str, reset: str, seconds: float) -> None:
    headers = {name.format("limit"): "10", name.format("remaining"): "0", name.format("reset").upper(): reset}
    assert wait_said(headers, now=NOW) == pytest.approx(seconds)


@pytest.mark.parametrize("reset", ["0", "0s", f"{NOW - 5:.0f}", "2025-11-20T11:59:00Z", "6m0", "m", "1s 2s", "1x"])
def test_a_reset_that_is_past_or_none_at_all_is_not_said(reset: str) -> None:
    assert said(x_ratelimit_remaining="0", x_ratelimit_reset=reset) is None


def test_only_limits_of_which_nothing_remains_count_and_of_these_the_latest() -> None:
    some = {"x_ratelimit_reset_requests": "1s", "x_ratelimit_reset_tokens": "6m0s"}
    assert said(**some) is None, "nobody said that they are used up"
    assert said(**some, x_ratelimit_remaining_requests="0", x_ratelimit_remaining_tokens="7") == 1.0
    assert said(**some, x_ratelimit_remaining_requests="3", x_ratelimit_remaining_tokens="0") == 360.0
    assert said(**some, x_ratelimit_remaining_requests="0", x_ratelimit_remaining_tokens="0") == 360.0


@pytest.mark.parametrize("limit", ["0", "-1", "-2.5"])
def test_a_limit_of_nothing_is_no_limit(limit: str) -> None:
    headers = {"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "9s"}
    assert said(**headers, x_ratelimit_limit_tokens=limit) is None
    assert said(**headers, x_ratelimit_limit_tokens="100, 100;window=60") == 9.0


@pytest.mark.parametrize("remaining", ["-1", "1", "none", ""])
def test_what_remains_must_be_nothing(remaining: str) -> None:
    assert said(x_ratelimit_remaining_tokens=remaining, x_ratelimit_reset_tokens="9s") is None


def test_what_is_said_outright_wins_over_resets_even_when_it_is_shorter() -> None:
    spent = {
        "anthropic_ratelimit_requests_remaining": "0",
        "anthropic_ratelimit_requests_reset": "2025-11-20T12:05:00Z",
    }
    assert said(**spent, retry_after="2") == 2.0
    assert said(**spent, retry_after="0") == AT_ONCE
    assert said(**spent, retry_after="soon") == 300.0


NAMES = ["Retry-After", "retry-after-ms", "Date"] + [
    name.format(which) for name in LIMITS for which in ("limit", "remaining", "reset")
]
NUMBERS = st.integers().map(str) | st.floats().map(str) | st.from_regex(r"[0-9.]{0,30}", fullmatch=True)
DATES = st.datetimes().map(lambda at: format_datetime(at.replace(tzinfo=UTC), usegmt=True))
INSTANTS = st.datetimes(timezones=st.timezones()).map(datetime.isoformat)
DURATIONS = st.from_regex(r"([0-9]{0,6}\.?[0-9]{0,3}(h|ms|m|s|us|ns)?){0,3}", fullmatch=True)
VALUES = st.just("0") | NUMBERS | DATES | INSTANTS | DURATIONS | st.text(max_size=30)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES), st.floats(0, 4e9))
@example({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0001-01-01T00:00:00+23:59"}, 0.0)
@example({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999-12-31T23:59:59-23:59"}, 0.0)
@example({"Retry-After": "Mon, 01 Jan 0001 00:00:00 GMT"}, 0.0)
@example({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" * 400 + "s"}, 0.0)
def test_whatever_is_said_the_wait_is_sensible(headers: dict[str, str], now: float) -> None:
    wait = wait_said(headers, now=now)
    assert wait is None or 0 < wait <= LONGEST
