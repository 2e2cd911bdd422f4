"""Weigh candidates against what a question states: merits, violations, and the words that explain both. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from llm_pool.providers.builtin.preferences import PLEADING, REFUSING
from llm_pool.providers.builtin.relevance import relevance
from llm_pool.providers.builtin.tables import listed
from llm_pool.providers.builtin.text import SYNONYMS, Language, stems
from llm_pool.providers.builtin.wording import compared, listing, named, plain

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
_LACKING = 0.4  # of one that says itself that it has not what is excluded
_DENYING = 0.5  # what is taken from one that says itself that it has not what is wanted
_OF_TEXTS = frozenset({"length", "word length", "figures"})  # what is counted in any text measures no criterion
_NEGATING = listed("no not non never free out without sem não fora de")  # in phrases like "sem custo", "out of stock"
_PRIOR = 0.06  # what rating and popularity count where nobody asked for them


@dataclass(frozen=True, slots=True)
class Weighed:
    relevance: Relevance
    merit: float  # -1 to 1: how well it meets the preferences
    violations: tuple[str, ...]  # the hard criteria that it breaks, in words
    notes: tuple[str, ...]  # the criteria that it meets, in words
    denied: tuple[str, ...]  # what is wanted and it says that it has not
    extra: float  # small things: general quality, talk to the judge
    measured: bool  # whether a number of it was compared


@dataclass(frozen=True, slots=True)
class _Signal:
    """What one criterion says of each candidate, -1 to 1, None: nothing."""

    name: str
    weight: float
    values: tuple[float | None, ...]
    measured: bool = False
    notes: tuple[str, ...] = ()  # what to say of each candidate in place of the name


def weighed(found: Sequence[Features], stated: Criteria, lang: Language, stem: Callable[[str], str]) -> list[Weighed]:
    """One for each candidate, in order."""
    limited = {limit.name for limit in stated.limits}
    signals = [
        *(_preferred(found, preference, weight, lang) for preference, weight in stated.preferences),
        *(
            _numbered(found, name, better, weight, "" if name in limited else named(name, lang))
            for name, better, weight in stated.numbers
        ),
        *(_within(found, limit, lang) for limit in stated.limits),
        _wanted(found, stated.wanted, lang, stem),
    ]
    spoken = [signal for signal in signals if any(value is not None for value in signal.values)]
    total = sum(signal.weight for signal in spoken) or 1.0
    related = relevance(found, stated.topic, stated.minor, lang, stem)
    priors = [_ranked(found, name, 1) for name in ("rating", "popularity")]
    excluded = [(term, frozenset(stems(term, lang, stem))) for term in stated.excluded]
    sought = {each: word for word in (*stated.topic, *stated.wanted) for each in stems(word, lang, stem)}
    result = []
    for place, features in enumerate(found):
        values = [(signal, signal.values[place]) for signal in spoken]
        merit = sum(signal.weight * (_UNKNOWN if value is None else value) for signal, value in values)
        lacking = [term for term, parts in excluded if parts and parts <= features.lacks]
        denied = [word for each, word in sought.items() if each in features.lacks and each not in features.stems]
        prior = sum(_PRIOR * (value or 0.0) for each in priors if (value := each[place]) is not None)
        result.append(
            Weighed(
                relevance=related[place],
                merit=merit / total + (_LACKING if lacking else 0.0),
                violations=_violations(features, stated, excluded, lang),
                notes=_notes(place, values, lacking, lang),
                denied=tuple(dict.fromkeys(denied)),
                extra=prior - _distrust(features) - (_DENYING if denied else 0.0),
                measured=any(signal.measured and value is not None for signal, value in values),
            )
        )
    return result


def _violations(
    features: Features, stated: Criteria, excluded: Sequence[tuple[str, frozenset[str]]], lang: Language
) -> tuple[str, ...]:
    """What it has though it must not, and the hard limits that it breaks, in words."""
    has = "tem" if lang == "pt" else "has"
    found = [f"{has} {term}" for term, parts in excluded if parts and _has(features, parts)]
    for limit in stated.limits:
        value = features.numbers.get(limit.name)
        if not limit.soft and value is not None and not limit.low <= value <= limit.high:
            found.append(compared(limit, value, lang, kept=False))
    return tuple(found)


def _notes(
    place: int, values: Sequence[tuple[_Signal, float | None]], lacking: Sequence[str], lang: Language
) -> tuple[str, ...]:
    """What speaks for it, in words: limits before preferences."""
    without = "sem" if lang == "pt" else "without"
    good = [signal for signal, value in values if value is not None and value > 0]
    good.sort(key=lambda signal: not signal.notes)
    said = [signal.notes[place] if signal.notes else signal.name for signal in good]
    return tuple(dict.fromkeys(note for note in (*said, *(f"{without} {term}" for term in lacking)) if note))


def _has(features: Features, parts: frozenset[str]) -> bool:
    return parts <= features.stems.keys() and not parts <= features.lacks


def _distrust(features: Features) -> float:
    text = features.text.lower()
    pleads, refuses = (any(phrase in text for phrase in phrases) for phrases in (PLEADING, REFUSING))
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
        case "word length":
            by_number = _spread([_word_length(features) for features in found], preference.better)
        case "figures":
            by_number = _spread([_figures(features) for features in found], preference.better)
        case "free price":
            prices = [features.numbers.get("price") for features in found]
            by_number = [None if price is None else 1.0 if price == 0 else -1.0 for price in prices]
        case name:
            by_number = _ranked(found, name, preference.better)
    values = tuple(_joined(number, said) for number, said in zip(by_number, by_words, strict=True))
    name = preference.name_pt if lang == "pt" else preference.name
    return _Signal(
        name,
        weight,
        values,
        measured=any(value is not None for value in by_number) and preference.number not in _OF_TEXTS,
    )


def _joined(number: float | None, said: float | None) -> float | None:
    if number is None or said is None:
        return number if said is None else said
    return _NUMBER_SHARE * number + (1 - _NUMBER_SHARE) * said


def _spoken(features: Features, preference: Preference) -> float | None:
    good, bad = _told(features, preference.good), _told(features, preference.bad)
    if good == bad:
        return None if good == 0 else 0.0
    return (good - bad) / (good + bad)


def _told(features: Features, phrases: str) -> int:
    return sum(
        phrase in features.said or (negating and phrase in features.words) for phrase, negating in _sought(phrases)
    )


@cache
def _sought(phrases: str) -> tuple[tuple[str, bool], ...]:
    """Each phrase as it stands among words, and whether it is itself a denial. Of the package's own tables only."""
    each = [phrase.split() for phrase in phrases.split("|") if phrase]
    return tuple((f" {' '.join(words)} ", not _NEGATING.isdisjoint(words)) for words in each)


def _figures(features: Features) -> float:
    return float(sum(word[0].isdigit() for word in features.words.split()))


def _word_length(features: Features) -> float:
    own = features.words.split()
    return sum(map(len, own)) / (len(own) or 1)


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


def _numbered(found: Sequence[Features], name: str, better: int, weight: float, shown: str) -> _Signal:
    """Which number is better. It is shown under that name, or not at all where a limit shows it."""
    notes = tuple(
        f"{shown} {plain(value)}" if shown and (value := features.numbers.get(name)) is not None else ""
        for features in found
    )
    return _Signal(name, weight, _ranked(found, name, better), measured=True, notes=notes)


def _within(found: Sequence[Features], limit: Limit, lang: Language) -> _Signal:
    values = [features.numbers.get(limit.name) for features in found]
    kept = tuple(None if value is None else _KEPT if limit.low <= value <= limit.high else -1.0 for value in values)
    notes = tuple("" if value is None else compared(limit, value, lang, kept=True) for value in values)
    return _Signal(limit.name, 1.0, kept, measured=True, notes=notes)


def _wanted(found: Sequence[Features], wanted: Sequence[str], lang: Language, stem: Callable[[str], str]) -> _Signal:
    """How many of the criteria's other words each one has, itself or by a synonym."""
    groups = [
        (word, frozenset(stems(" . ".join((word, *SYNONYMS[lang].get(word, ()))), lang, stem))) for word in wanted[:32]
    ]
    matched = [[word for word, group in groups if not group.isdisjoint(features.stems)] for features in found]
    shares = [len(words) / (len(groups) or 1) for words in matched]
    if not any(shares) or len(set(shares)) == 1:
        return _Signal("", 1.0, (None,) * len(found))
    best = max(shares)
    says = "menciona" if lang == "pt" else "mentions"
    notes = tuple(f"{says} {listing(words[:4], lang)}" if words else "" for words in matched)
    return _Signal("", 1.0, tuple(2 * share / best - 1 for share in shares), notes=notes)
