"""What can be compared about a candidate: its words, what it says it lacks, its numbers, its language. Pure."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_pool.providers.builtin.exclusions import divided, freed
from llm_pool.providers.builtin.inputs import finite, strings
from llm_pool.providers.builtin.numbers import NAMES, UNITS, mentions
from llm_pool.providers.builtin.text import MOST, WORD, Language, clean, language, stems, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from llm_pool.core.candidates import Candidate

_HEADINGS = frozenset({"title", "name", "título", "titulo", "nome", "headline", "heading", "label"})
_LANGUAGE_NAMES = frozenset({"lang", "language", "idioma", "língua", "lingua", "locale"})
_DEEPEST = 3  # levels of a candidate's own objects
_MOST_FIELDS, _LEAST_FIELDS = 60, 8  # of one candidate that are read
_FIELDS_IN_ALL = 8_000
_LONGEST_NAME = 80  # characters of a field's name

_DATE = re.compile(r"(?<!\d)((?:19|20)[0-9]{2})(?:[-/.]([0-9]{1,2})(?:[-/.]([0-9]{1,2}))?)?(?!\d)")
_EUROPEAN = re.compile(r"(?<!\d)([0-9]{1,2})[/.]([0-9]{1,2})[/.]((?:19|20)[0-9]{2})(?!\d)")
_YEAR_IN_TEXT = re.compile(r"(?<![\d$€£.,])(?:19[5-9]|20[0-4])[0-9](?![\d.,]\d|\d)")
_WORDS_OF_A_NAME = re.compile(r"[A-Z]?[a-zà-ÿ]+|[A-Z]+(?![a-z])|[0-9]+")
_DIGITS = re.compile(r"^[-+]?[0-9]{1,15}(?:\.[0-9]{1,15})?$")
_SECONDS_AT_LEAST = 400.0  # a bare "duration" whose median is above this counts seconds: no list is of 7-hour things
_EPOCH = 1e8  # a larger "date" counts seconds since 1970, one 1000 times as large milliseconds
# "pets are not allowed", "estacionamento não incluído", "wi-fi indisponível": what stands before it is lacking.
_DENIED = re.compile(
    r"(?<![\w\-])((?:[^\W\d_][\w\-]{0,39}[ ]){1,2})(?:(?:is|are|was|é|são|está|estão)[ ])?"
    r"(?:(?:not|não|nao)[ ](?:é[ ]|são[ ]|está[ ])?(?:allowed|available|included|accepted|permitted|offered|supported|"
    r"provided|welcome|possible|aceit[oa]s?|permitid[oa]s?|inclus[oa]s?|incluíd[oa]s?|disponível|disponíveis|oferecid[oa]s?|"
    r"suportad[oa]s?)|unavailable|prohibited|forbidden|indisponível|indisponíveis|proibid[oa]s?)(?![\w])",
    re.IGNORECASE,
)
_LONGEST_NUMBER = 40  # characters of a text that is a number with its unit
_YEAR_SECONDS = 31_556_952.0
_YES = frozenset({"true", "yes", "sim", "verdadeiro"})
_NO = frozenset({"false", "no", "não", "nao", "falso"})


@dataclass(frozen=True, slots=True)
class Features:
    heading: str
    text: str  # all of its texts, clean, the names of its true fields included
    words: str  # " word word ", lower case, to look phrases up in
    said: str  # the same without what it says it has not
    stems: Counter[str]  # of what it says, its heading twice
    lacks: frozenset[str]  # stems of what it says it has not: "sem glúten", "ad-free", `"ads": false`
    numbers: Mapping[str, float]  # by kind (see `numbers.NAMES`), else by the words of the field's name
    language: Language


def features(candidates: Sequence[Candidate], lang: Language, stem: Callable[[str], str]) -> list[Features]:
    """The features of all candidates, stemmed in one language so that they can be compared."""
    most = max(_LEAST_FIELDS, min(_MOST_FIELDS, _FIELDS_IN_ALL // max(1, len(candidates))))
    read = [[*itertools.islice(_flat(each.fields), most)] for each in candidates]
    share = _share([sum(len(value) for _, value in fields if isinstance(value, str)) for fields in read])
    return _in_one_unit([_features(fields, lang, stem, share) for fields in read])


def _share(lengths: Iterable[int]) -> int:
    """The characters of each candidate that are read: `MOST` in all, and what a short one leaves is for the longer."""
    left, share = MOST, 0
    ordered = sorted(lengths)
    for place, length in enumerate(ordered):
        share = left // (len(ordered) - place)
        if length > share:
            return share
        left -= length
    return max(share, MOST)


def _features(fields: Iterable[tuple[str, Any]], lang: Language, stem: Callable[[str], str], share: int) -> Features:
    heading = ""
    texts: list[str] = []
    present: list[str] = []
    lacking: list[str] = []
    numbers: dict[str, float] = {}
    own: Language | None = None
    for name, value in fields:
        named = _WORDS_OF_A_NAME.findall(name[:_LONGEST_NAME])
        plain = " ".join(named).lower()
        if plain in _LANGUAGE_NAMES and isinstance(value, str):
            own = "pt" if value.lower().startswith(("pt", "por")) else "en"
            texts.append(clean(value[:share]))
        elif (flag := _flag(value)) is not None:
            (texts if flag else lacking).append(plain)
        elif (measured := _measured(plain, value)) is not None:
            numbers.setdefault(*measured)
            if measured[0] == plain:  # "stops": 0 says that it has none
                (present if measured[1] else lacking).append(plain)
        elif text := clean(str(value)[:share]):
            if plain in _HEADINGS and not heading:
                heading = text
            texts.append(text)
    text = "\n".join(texts)[:share]
    for kind, number in _mentioned(text):
        numbers.setdefault(kind, number)
    spoken = own or language(text, otherwise="ã" if lang == "pt" else "")
    kept, lacks = _divided(text, spoken)
    lacking += lacks
    counted = Counter(stems(kept, lang, stem))
    counted.update(stems(" . ".join((_divided(heading, spoken)[0], *present)), lang, stem))
    return Features(
        heading=heading or text.split("\n", 1)[0],
        text=text,
        words=f" {' '.join(words(text))} ",
        said=f" {' '.join(words(kept))} ",
        stems=counted,
        lacks=frozenset(stems(" . ".join(lacking), lang, stem)),
        numbers=numbers,
        language=spoken,
    )


def _divided(text: str, lang: Language) -> tuple[str, list[str]]:
    """What a candidate says of itself, and what it says that it has not."""
    free = freed(text)
    denied = [match[1] for match in _DENIED.finditer(free.kept)]
    wish = divided(_DENIED.sub(" . ", free.kept), lang)
    return wish.kept, [*free.excluded, *denied, *wish.excluded]


def _flat(fields: Mapping[str, Any], deepest: int = _DEEPEST) -> Iterator[tuple[str, Any]]:
    for name, value in list(fields.items())[:_MOST_FIELDS]:
        if isinstance(value, dict) and deepest:
            yield from _flat(value, deepest - 1)
        elif isinstance(value, list | dict):
            yield str(name), ", ".join(strings(value, deepest))
        elif value is not None:
            yield str(name), value


def _flag(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _YES | _NO:
        return value.strip().lower() in _YES
    return None


def _measured(name: str, value: object) -> tuple[str, float] | None:
    """The kind, or the name, and the value of a field that holds a number; None for a text."""
    kind = kind_of(name)
    if isinstance(value, int | float):
        number = finite(value)
        if kind == "date":
            return kind, _year(number)
        return kind or name, number * _factor(name, kind)
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER:
        return None
    if kind == "date":
        return (kind, year) if (year := dated(value)) is not None else None
    if _DIGITS.match(value.strip()):
        return kind or name, float(value.strip()) * _factor(name, kind)  # `float` keeps some of what `strip` takes
    if kind and (found := mentions(value)) and found[0].kind in {kind, None}:
        return kind, found[0].value
    return None


def kind_of(name: str) -> str | None:
    """The kind that a field's name tells: "review count" popularity, "prep time min" duration, "battery hours" none."""
    named = name.split()
    if "ago" in named or "id" in named:
        return None
    if {"count", "number", "total", "qtd"} & set(named) or named[:1] == ["num"]:
        counted = {NAMES.get(word) or NAMES.get(f"{word}s") for word in named}  # "review_count" counts reviews
        return None if counted.isdisjoint({"popularity", "rating"}) else "popularity"
    kinds = [NAMES[word] for word in named if word in NAMES]
    if "date" in kinds:
        return "date"
    return kinds[0] if kinds else None


def _factor(name: str, kind: str | None) -> float:
    """What a field's value is multiplied with, by the unit that its name ends with."""
    unit = UNITS.get(name.rsplit(maxsplit=1)[-1]) if name else None
    if kind == "duration" and name.rsplit(maxsplit=1)[-1] == "ms":
        return 1 / 60_000
    return (
        unit[1]
        if unit and kind in {None, unit[0]} and unit[0] in {"duration", "distance", "weight", "storage"}
        else 1.0
    )


def _year(number: float) -> float:
    if number > _EPOCH * 1000:
        return 1970 + number / 1000 / _YEAR_SECONDS
    return 1970 + number / _YEAR_SECONDS if number > _EPOCH else number


def dated(text: str) -> float | None:
    """The first date of a text as a year with a fraction, or None."""
    if match := _EUROPEAN.search(text):
        day, month, year = (int(group) for group in match.groups())
    elif match := _DATE.search(text):
        year, month, day = (int(group or 1) for group in match.groups())
    else:
        return None
    return year + (min(month, 12) - 1) / 12 + (min(day, 31) - 1) / 372


def _mentioned(text: str) -> Iterator[tuple[str, float]]:
    """Numbers of known kinds that the text itself gives. Of years the latest: it names the edition, not the history."""
    for mention in mentions(text):
        if mention.kind is not None:
            yield mention.kind, mention.value
        else:
            before = WORD.findall(text[max(0, mention.start - 24) : mention.start].lower())[-2:]
            named = [NAMES[word] for word in before if word in NAMES and NAMES[word] != "date"]
            if named:
                yield named[-1], mention.value
    if years := _YEAR_IN_TEXT.findall(text):
        yield "date", float(max(years))


def _in_one_unit(found: list[Features]) -> list[Features]:
    values = sorted(value for each in found if (value := each.numbers.get("duration")) is not None)
    if not values or values[len(values) // 2] < _SECONDS_AT_LEAST:
        return found
    for each in found:  # the mapping is still this module's own
        if "duration" in each.numbers and isinstance(each.numbers, dict):
            each.numbers["duration"] /= 60
    return found


def names_of(found: Iterable[Features]) -> frozenset[str]:
    """The kinds and names of the numbers that at least one of them has."""
    return frozenset(name for each in found for name in each.numbers)
