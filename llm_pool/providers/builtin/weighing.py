"""Weigh candidates against what a question states: merits, violations, and the words that explain both. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_pool.providers.builtin.preferences import PLEADING, REFUSING
from llm_pool.providers.builtin.relevance import relevance
from llm_pool.providers.builtin.text import SYNONYMS, Language, stems

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_pool.providers.builtin.criteria import Criteria, Limit
    from llm_pool.providers.builtin.features import Features
    from llm_pool.providers.builtin.preferences import Preference
    from llm_pool.providers.builtin.relevance import Relevance

_UNKNOWN = -0.25  # the signal of a candidate that does not say: worse than average, better than a clear no
_KEPT = 0.5  # of one that keeps a limit, or says itself that it has not what is excluded
_NUMBER_SHARE = 0.75  # of a number beside words that speak for or against
_PLEADING, _REFUSING = 0.8, 0.4  # what is taken from a candidate that talks to the judge, or does not answer
_NEARLY_WHOLE = 0.005
_YEAR = 1900
_PRIOR = 0.06  # what rating and popularity count where nobody asked for them


@dataclass(frozen=True, slots=True)
class Weighed:
    relevance: Relevance
    merit: float  # -1 to 1: how well it meets the preferences
    violations: tuple[str, ...]  # the hard criteria that it breaks, in words
    notes: tuple[str, ...]  # the criteria that it meets, in words
    extra: float  # small things: general quality, talk to the judge
    measured: bool  # whether a number of it was compared


@dataclass(frozen=True, slots=True)
class _Signal:
    """What one criterion says of each candidate, -1 to 1, None: nothing."""

    name: str
    weight: float
    values: tuple[float | None, ...]
    measured: bool = False


def weighed(found: Sequence[Features], stated: Criteria, lang: Language, stem: Callable[[str], str]) -> list[Weighed]:
    """One for each candidate, in order."""
    signals = [
        *(_preferred(found, preference, weight, lang) for preference, weight in stated.preferences),
        *(
            _Signal(name, weight, _ranked(found, name, better), measured=True)
            for name, better, weight in stated.numbers
        ),
        *(_within(found, limit) for limit in stated.limits),
        _wanted(found, stated.wanted, lang, stem),
    ]
    spoken = [signal for signal in signals if any(value is not None for value in signal.values)]
    total = sum(signal.weight for signal in spoken) or 1.0
    related = relevance(found, stated.topic, stated.minor, lang, stem)
    priors = [_ranked(found, name, 1) for name in ("rating", "popularity")]
    broken = [(term, frozenset(stems(term, lang, stem))) for term in stated.excluded]
    result = []
    for place, features in enumerate(found):
        values = [signal.values[place] for signal in spoken]
        merit = sum(
            signal.weight * (_UNKNOWN if value is None else value) for signal, value in zip(spoken, values, strict=True)
        )
        violations = [term for term, parts in broken if parts and _has(features, parts)]
        lacking = [term for term, parts in broken if parts and parts <= features.lacks]
        violations += [text for limit in stated.limits if (text := _broken(features, limit, lang))]
        notes = [signal.name for signal, value in zip(spoken, values, strict=True) if value is not None and value > 0]
        without = "sem" if lang == "pt" else "no"
        prior = sum(_PRIOR * (value or 0.0) for values in priors if (value := values[place]) is not None)
        result.append(
            Weighed(
                relevance=related[place],
                merit=merit / total + (0.2 if lacking else 0.0),
                violations=tuple(f"{without} {term}: ✗" if term in stated.excluded else term for term in violations),
                notes=(*notes, *(f"{without} {term}" for term in lacking)),
                extra=prior - _distrust(features),
                measured=any(signal.measured and signal.values[place] is not None for signal in spoken),
            )
        )
    return result


def _has(features: Features, parts: frozenset[str]) -> bool:
    return parts <= features.stems.keys() and not parts <= features.lacks


def _distrust(features: Features) -> float:
    pleads = any(phrase in features.text.lower() for phrase in PLEADING)
    refuses = any(phrase in features.text.lower() for phrase in REFUSING)
    return _PLEADING * pleads + _REFUSING * refuses


def _preferred(found: Sequence[Features], preference: Preference, weight: float, lang: Language) -> _Signal:
    by_words = [_spoken(features, preference) for features in found]
    match preference.number:
        case "":
            by_number: Sequence[float | None] = [None] * len(found)
        case "language":
            by_words = [None] * len(found)
            by_number = [1.0 if features.language == preference.good else -1.0 for features in found]
        case "length":
            by_number = _spread([float(features.words.count(" ")) for features in found], preference.better)
        case "free price":
            prices = [features.numbers.get("price") for features in found]
            by_number = [None if price is None else 1.0 if price == 0 else -1.0 for price in prices]
        case name:
            by_number = _ranked(found, name, preference.better)
    values = tuple(_joined(number, said) for number, said in zip(by_number, by_words, strict=True))
    name = preference.name_pt if lang == "pt" else preference.name
    return _Signal(
        name, weight, values, measured=any(value is not None for value in by_number) and preference.number != "length"
    )


def _joined(number: float | None, said: float | None) -> float | None:
    if number is None or said is None:
        return number if said is None else said
    return _NUMBER_SHARE * number + (1 - _NUMBER_SHARE) * said


def _spoken(features: Features, preference: Preference) -> float | None:
    good = sum(f" {phrase} " in features.words for phrase in preference.good.split("|"))
    bad = sum(f" {phrase} " in features.words for phrase in preference.bad.split("|") if preference.bad)
    if good == bad:
        return None if good == 0 else 0.0
    return (good - bad) / (good + bad)


def _ranked(found: Sequence[Features], name: str, better: int) -> tuple[float | None, ...]:
    values = [features.numbers.get(name) for features in found]
    if name == "popularity":  # of a thousand and a million the one is not nothing
        values = [None if value is None else math.log1p(max(0.0, value)) for value in values]
    return _spread(values, better)


def _spread(values: Sequence[float | None], better: int) -> tuple[float | None, ...]:
    """From -1 for the worst to 1 for the best: the mean of the place by value and by rank, so that no outlier rules."""
    known = sorted({value for value in values if value is not None})
    if len(known) <= 1:  # of one value nothing is better or worse
        return (None,) * len(values)
    low, high = known[0], known[-1]
    place = {value: rank / (len(known) - 1) for rank, value in enumerate(known)}
    return tuple(
        None if value is None else better * (((value - low) / (high - low) + place[value]) - 1) for value in values
    )


def _within(found: Sequence[Features], limit: Limit) -> _Signal:
    values = [features.numbers.get(limit.name) for features in found]
    kept = tuple(None if value is None else _KEPT if limit.low <= value <= limit.high else -1.0 for value in values)
    return _Signal(_said(limit), 1.0, kept, measured=True)


def _broken(features: Features, limit: Limit, lang: Language) -> str:
    value = features.numbers.get(limit.name)
    if limit.soft or value is None or limit.low <= value <= limit.high:
        return ""
    side = ("acima" if lang == "pt" else "above") if value > limit.high else "abaixo" if lang == "pt" else "below"
    edge = limit.high if value > limit.high else limit.low
    return f"{limit.name} {_plain(value)} {side}{' de' if lang == 'pt' else ''} {_plain(edge)}"


def _said(limit: Limit) -> str:
    if math.isinf(limit.low):
        return f"{limit.name} ≤ {_plain(limit.high)}"
    if math.isinf(limit.high):
        return f"{limit.name} ≥ {_plain(limit.low)}"
    return f"{limit.name} {_plain(limit.low)}-{_plain(limit.high)}"


def _plain(number: float) -> str:
    """A number as people write it; the end of a year (2020.999) is that year."""
    if abs(number - round(number)) > _NEARLY_WHOLE:
        return f"{number:.2f}".rstrip("0")
    return str(math.floor(number) if number > _YEAR else round(number))


def _wanted(found: Sequence[Features], wanted: Sequence[str], lang: Language, stem: Callable[[str], str]) -> _Signal:
    """How many of the criteria's other words each one has, itself or by a synonym."""
    groups = [
        (word, frozenset(stems(" . ".join((word, *SYNONYMS[lang].get(word, ()))), lang, stem))) for word in wanted[:32]
    ]
    shares = [
        sum(1 for _, group in groups if not group.isdisjoint(features.stems)) / len(groups) if groups else 0.0
        for features in found
    ]
    if not any(shares) or len(set(shares)) == 1:
        return _Signal("", 1.0, (None,) * len(found))
    best = max(shares)
    names = ", ".join(word for word, _ in groups[:4])
    return _Signal(names, 1.0, tuple(2 * share / best - 1 for share in shares))
