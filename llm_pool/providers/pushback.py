"""How long a provider that answers 429, 503 or 529 says to wait. Pure; for every provider that speaks HTTP.

What is said outright wins: `retry-after-ms`, then `Retry-After` in seconds or as a date (RFC 9110, 10.2.3). Else the
latest of those resets whose limit has nothing remaining: `x-ratelimit-reset[-requests | -tokens]` (OpenAI's, and those
of many who copied them: durations such as `6m0s`, seconds, Unix times) and `anthropic-ratelimit-...-reset` (RFC 3339).

Dates are measured against the answer's own `Date`, for clocks differ; without one, against ours. Who says outright to
wait until now, or until a time that is past, may be asked at once: the shortest wait there is. A reset that is past, a
limit of 0 or -1 and the like are nonsense, which some servers do send, and count as not said.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

AT_ONCE = 0.001  # seconds
LONGEST = 3600.0  # seconds: whoever is told more asks again after an hour

# Those who count to a reset start from 0 or from 1970, in seconds or in milliseconds.
UNIX_SECONDS = 1e9
UNIX_MILLISECONDS = 1e12

# Under which names a limit is sent, what remains of it, and when it begins anew: `{}` is the word for which.
LIMITS = [
    *("x-ratelimit-{}" + of for of in ("-requests", "-tokens", "")),
    *("anthropic-ratelimit-" + of + "-{}" for of in ("requests", "tokens", "input-tokens", "output-tokens")),
]

NUMBER = r"[0-9]+(?:\.[0-9]+)?"
UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "ns": 1e-9}
PART = rf"({NUMBER})({'|'.join(sorted(UNITS, key=len, reverse=True))})"
DURATION = re.compile(rf"(?:{PART})+")

# A date in HTTP as it is written today, and the two obsolete ways that a recipient must still read (RFC 9110, 5.6.7).
DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


def wait_said(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds to wait, above 0 and at most 3600; None where nothing sensible is said. `now` is the Unix time.

    Names of headers count in any case.
    """
    said = {name.lower(): value.strip() for name, value in headers.items()}
    date = _date(said.get("date", ""))
    now = now if date is None else date
    wait = _outright(said, now)
    if wait is None:
        wait = max(_until_reset(said, name, now) for name in LIMITS)
        return min(wait, LONGEST) if wait > 0 else None
    return min(max(wait, AT_ONCE), LONGEST)


def _outright(said: Mapping[str, str], now: float) -> float | None:
    milliseconds = _number(said.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = said.get("retry-after", "")
    seconds = _number(text)
    if seconds is not None:
        return seconds
    date = _date(text)
    return None if date is None else date - now


def _until_reset(said: Mapping[str, str], name: str, now: float) -> float:
    """Seconds, 0 or less where this limit is not what we ran into, or is none."""
    limit, remaining = said.get(name.format("limit"), ""), said.get(name.format("remaining"), "")
    if _number(remaining) != 0 or _number(limit) == 0 or limit.startswith("-"):
        return 0.0
    text = said.get(name.format("reset"), "")
    number = _number(text)
    if number is None:
        return _duration(text) or _instant(text, now) - now
    if number >= UNIX_MILLISECONDS:
        return number / 1000 - now
    return number - now if number >= UNIX_SECONDS else number


def _number(text: str) -> float | None:
    """A plain decimal that is not negative: `float` would also take "nan", "1e9" and "1_0"."""
    return float(text) if re.fullmatch(NUMBER, text) else None


def _duration(text: str) -> float:
    """Seconds of a duration such as "6m0s" or "12ms" (Go's way to write them), 0 for what is none."""
    if not DURATION.fullmatch(text):
        return 0.0
    return sum(float(count) * UNITS[unit] for count, unit in re.findall(PART, text))


def _date(text: str) -> float | None:
    for form in DATES:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return None


def _instant(text: str, otherwise: float) -> float:
    """The Unix time of an RFC 3339 date and time."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
