"""Numbers with their units and limits in English and Portuguese text: "under 30 minutes", "até R$ 1.200,50". Pure.

A `Mention` is one number with the kind of thing that it counts, in that kind's one unit: minutes, kilometres,
gigabytes,
stars. A `Bound` is a mention with words that make it a limit.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from llm_pool.providers.builtin.tables import listed, phrases
from llm_pool.providers.builtin.text import WORD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# "price", "rating", "duration", "popularity", "date", "distance", "weight", "storage", "calories", "pages"
Kind: TypeAlias = str

_MOST = 200  # numbers of one text that are looked at
_NUMBER = re.compile(
    r"(?P<sign>R\$|US\$|[$€£])?[ ]?(?<![\w.,])(?P<digits>[0-9]{1,12}(?:[.,][0-9]{1,12}){0,4})"
    r"(?:[ ]?(?P<times>k|mil|thousand|mi|million|millions|milhão|milhões|milhoes|bilhão|bilhões|billion)\b)?"
    r"[ \-]?(?P<unit>[^\W\d_]{1,14}|%|★)?",
    re.IGNORECASE,
)
_HOURS = re.compile(
    r"(?<![\w.,])([0-9]{1,3}) ?h(?:ours?|rs?|oras?)?(?: (?:e|and))? ?([0-9]{1,2})(?: ?m(?:in\w{0,5})?)?\b"
)
_CLOCK = re.compile(r"(?<![\w.,:])([0-9]{1,3}):([0-9]{2})(?::([0-9]{2}))?(?![\w:])")
_ISO = re.compile(r"\bPT(?:([0-9]{1,4})H)?(?:([0-9]{1,4})M)?(?:([0-9]{1,5})S)?\b")
_TIMES = {"k": 1e3, "mil": 1e3, "thousand": 1e3, "bilhão": 1e9, "bilhões": 1e9, "billion": 1e9}  # all others: a million


def _units(*rows: tuple[Kind, float, str]) -> Mapping[str, tuple[Kind, float]]:
    return {word: (kind, factor) for kind, factor, words in rows for word in words.split()}


UNITS = _units(
    ("price", 1, "reais real euros euro eur dollars dollar usd brl bucks pounds gbp libras dólares dolares"),
    ("duration", 1 / 60, "s sec secs second seconds seg segundo segundos"),
    ("duration", 1, "min mins minute minutes minuto minutos"),
    ("duration", 60, "h hr hrs hour hours hora horas"),
    ("duration", 1440, "day days dia dias"),
    ("duration", 10080, "week weeks semana semanas"),
    ("rating", 1, "star stars estrela estrelas ★"),
    ("popularity", 1, "views view visualizações visualizacoes downloads likes curtidas citations citações subscribers"),
    ("popularity", 1, "reviews avaliações avaliacoes inscritos votes votos"),
    ("distance", 1, "km kilometers kilometres quilômetros quilometros"),
    ("distance", 1.609344, "miles mile mi milhas"),
    ("distance", 0.001, "m meters metres metros"),
    ("weight", 1, "kg kilos quilos kilo quilo"),
    ("weight", 0.001, "g grams gramas gram grama"),
    ("storage", 1, "gb gigabytes"),
    ("storage", 1024, "tb terabytes"),
    ("storage", 1 / 1024, "mb megabytes"),
    ("calories", 1, "kcal calories calorias cal"),
    ("pages", 1, "pages páginas paginas page página"),
)
# The words that name a kind, beside a number or as a field of a candidate.
NAMES: Mapping[str, Kind] = {
    word: kind
    for kind, words in {
        "price": "price prices cost costs custa custam custar preço preco preços valor custo fee budget orçamento "
        "amount tarifa mensalidade",
        "rating": "rating ratings rated score stars nota notas avaliação avaliacao estrelas grade pontuação",
        "popularity": "views view popularity downloads likes votes reviews subscribers citations sales popularidade "
        "visualizações visualizacoes curtidas avaliações avaliacoes votos vendas citações plays installs upvotes",
        "date": "date published updated year created released modified ano data publicado publicada atualizado "
        "lançamento timestamp publication publicação",
        "duration": "duration runtime minutes length time duração duracao tempo minutos playtime",
        "distance": "distance distância distancia",
        "weight": "weight peso",
        "storage": "storage armazenamento memory ram memória",
        "calories": "calories calorias kcal",
        "pages": "pages páginas paginas",
    }.items()
    for word in words.split()
}

# A negation before one of them turns it round (`_side_before`): "no longer than" is an upper limit.
_UPPER = frozenset(
    phrases("""
        under|below|less than|at most|up to|max|maximum|cheaper than|shorter than|lower than|smaller than|within|until|
        before|fewer than|lighter than|less|older than|earlier than|prior to|até|ate|abaixo de|abaixo|menos de|
        menos que|menor que|menor de|no máximo|no maximo|máximo|maximo|máxima|maxima|inferior a|antes de|dentro de|
        mais barato que|mais curto que|mais leve que|anterior a|anteriores a|mais antigo que|mais velho que
        """)
)
_LOWER = frozenset(
    phrases("""
        over|above|more than|at least|min|minimum|greater than|higher than|longer than|heavier than|larger than|since|
        after|starting at|starting from|better than|bigger than|exceeding|exceed|exceeds|newer than|later than|
        younger than|acima de|acima|mais de|mais que|maior que|maior de|pelo menos|no mínimo|no minimo|mínimo|minimo|
        mínima|minima|superior a|a partir de|desde|depois de|após|ao menos|posterior a|posteriores a|mais novo que|
        mais recente que|mais longo que|passe de|passar de|ultrapasse|ultrapassar|exceda|exceder
        """)
)
_UPPER_AFTER = phrases("""
    or less|or under|or fewer|or cheaper|or shorter|or earlier|or older|or before|max|maximum|at most|tops|ou menos|
    no máximo|no maximo|máximo|pra baixo|para baixo|ou anterior|ou antes
    """)
_LOWER_AFTER = phrases("""
    or more|or higher|or above|or better|or newer|or later|or after|onwards|onward|plus|minimum|at least|and up|
    and later|ou mais|ou superior|ou posterior|ou depois|no mínimo|no minimo|pra cima|para cima|em diante
    """)
_BETWEEN_WORDS = listed("of de the a o than que is be é seja us r about do")
_NEGATIONS = listed("no not non never não nao nem nunca isn't aren't doesn't don't cannot can't mustn't shouldn't")
_COPULAS = listed("be is are been to seja sejam é são ser for pode must should deve")
_EXCLUSIVE = listed("before antes older earlier prior anterior anteriores antigo velho")
_AGES = listed("older newer younger velho novo antigo recente")
_OPENS_RANGE = listed("between entre from de")
_SOFT = listed("prefer preferably ideally preferência idealmente preferencialmente prefiro nice")
_RANGE = re.compile(r"\s*(?:and|to|e|a|até|ate|-|\u2013)\s*(?:R\$|US\$|[$€£])?\s*")
_BEFORE, _AFTER = 60, 24  # characters around a number in which the words of its limit stand
_GROUP = 3  # digits between two separators of thousands
_HOUR = 60  # minutes
YEARS = range(1900, 2101)


@dataclass(frozen=True, slots=True)
class Mention:
    value: float
    kind: Kind | None
    start: int
    end: int
    unit_end: int  # where its unit ends, or `end`
    unit: str = ""  # as written
    factor: float = 1.0  # of that unit: `value` is in the one unit of its kind


@dataclass(frozen=True, slots=True)
class Bound:
    """`low <= value <= high`. The words `before` it, the nearest first, and `after` it may name a field."""

    low: float
    high: float
    kind: Kind | None
    before: tuple[str, ...]
    after: tuple[str, ...]
    soft: bool
    start: int  # of its words in the text
    end: int
    unit: str = ""  # as written, "" without one
    factor: float = 1.0  # of that unit


def number(digits: str) -> float:
    """The value of digits with points and commas, where "1.200", "1,200", "1.200,5" and "4,5" mean what most mean."""
    last = max(digits.rfind("."), digits.rfind(","))
    if last < 0:
        return float(digits)
    whole, fraction = digits[:last], digits[last + 1 :]
    both = "." in digits and "," in digits
    grouped = len(fraction) == _GROUP and not whole.startswith("0") and not both
    bare = re.sub(r"[.,]", "", whole)
    return float(bare + fraction) if grouped or (digits.count(digits[last]) > 1) else float(f"{bare}.{fraction}")


def mentions(text: str) -> list[Mention]:
    """The numbers of a text in order."""
    found: list[Mention] = []
    taken: set[int] = set()
    for pattern in (_HOURS, _CLOCK, _ISO):
        for match in pattern.finditer(text):
            groups = [float(group) for group in match.groups("0")]
            minutes_first = pattern is _CLOCK and match[3] is None  # "4:13"
            factors = (1, 1 / 60, 0) if minutes_first else (60, 1, 1 / 60)
            value = sum(group * factor for group, factor in zip(groups, factors, strict=False))
            if not value:
                continue
            found.append(Mention(value, "duration", match.start(), match.end(), match.end()))
            taken.update(range(match.start(), match.end()))
    for match in _NUMBER.finditer(text):
        if match.start("digits") not in taken:
            found.append(_mention(match, text))
        if len(found) >= _MOST:
            break
    return sorted(found, key=lambda mention: mention.start)


def _mention(match: re.Match[str], text: str) -> Mention:
    value, end = number(match["digits"]), match.end("digits")
    if match["times"]:
        value, end = value * _TIMES.get(match["times"].lower(), 1e6), match.end("times")
    unit = (match["unit"] or "").lower()
    kind: Kind | None = "price" if match["sign"] else None
    start = match.start("sign") if match["sign"] else match.start("digits")
    if unit == "de" and (following := WORD.search(text, match.end(), match.end() + 20)):  # "2 milhões de visualizações"
        unit = following[0].lower()
    if unit in UNITS and kind is None:
        kind, factor = UNITS[unit]
        return Mention(value * factor, kind, start, end, match.end(), match["unit"], factor)
    if unit == "m" and kind:
        return Mention(value * 1e6, kind, start, match.end(), match.end())
    return Mention(value, kind, start, end, end)


def bounds(text: str) -> list[Bound]:
    """The limits that a text states, and the years that it names (those softly)."""
    found: list[Bound] = []
    all_mentions = mentions(text)
    skip = False
    for place, mention in enumerate(all_mentions):
        if skip:
            skip = False
            continue
        since = all_mentions[place - 1].unit_end if place else 0
        following = all_mentions[place + 1] if place + 1 < len(all_mentions) else None
        if following and _RANGE.fullmatch(text, mention.unit_end, following.start):
            kind = following.kind or mention.kind or _named_kind(text, since, mention, following.value)
            if kind != "date" or mention.value <= following.value:
                low, high = sorted((_same_unit(mention, following), following.value))
                high += 0.999 if kind == "date" else 0
                span = _bound(text, since, mention, low=low, high=high, kind=kind, end=following.unit_end)
                found.append(replace(span, unit=following.unit, factor=following.factor))
                skip = True
                continue
        if (one := _one(text, since, mention)) is not None:
            found.append(one)
    return found


def _same_unit(first: Mention, second: Mention) -> float:
    """The first of "10 to 20 hours" in the unit of the second, which has the word."""
    if first.kind is None and second.kind == "duration":
        return first.value * (_HOUR if second.value >= _HOUR and second.value / _HOUR >= first.value else 1)
    return first.value


def _one(text: str, since: int, mention: Mention) -> Bound | None:
    side, start, end = _side(text, since, mention)
    kind = mention.kind or _named_kind(text, since, mention, mention.value)
    if side == 0:
        year = mention.kind is None and mention.value in YEARS and kind in {None, "date"}
        if not year:
            return None
        return Bound(
            mention.value, mention.value + 0.999, "date", (), (), soft=True, start=mention.start, end=mention.end
        )
    said = {*WORD.findall(text[start : mention.start].lower())}
    if kind != "date" and said & _AGES:  # "older than 18" is more of it
        if kind == "duration":  # "newer than 30 days" is a date, and nobody says here what today is
            return None
        side = -side
    low, high = (-math.inf, mention.value) if side < 0 else (mention.value, math.inf)
    if kind == "date" and side < 0:  # "until 2020" has all of it, "before 2020" none
        high += -0.001 if said & _EXCLUSIVE else 0.999
    return _bound(text, since, mention, low=low, high=high, kind=kind, end=end, start=start)


def _bound(
    text: str, since: int, mention: Mention, *, low: float, high: float, kind: Kind | None, end: int, start: int = -1
) -> Bound:
    before = tuple(reversed(WORD.findall(text[max(since, mention.start - _BEFORE) : mention.start].lower())[-5:]))
    after = tuple(WORD.findall(text[end : end + _AFTER].lower())[:2])
    soft = not _SOFT.isdisjoint(before + after)
    if start < 0:  # a range
        opening = list(WORD.finditer(text, max(since, mention.start - _BEFORE), mention.start))[-1:]
        start = opening[0].start() if opening and opening[0][0].lower() in _OPENS_RANGE else mention.start
    return Bound(low, high, kind, before, after, soft, start, end, mention.unit, mention.factor)


def _named_kind(text: str, since: int, mention: Mention, value: float) -> Kind | None:
    """The kind that the nearest word names, or "date" for what looks like a year."""
    before = WORD.findall(text[max(since, mention.start - _BEFORE) : mention.start].lower())[-4:]
    after = WORD.findall(text[mention.end : mention.end + _AFTER].lower())[:1]
    cheaper = {"cheaper", "barato", "budget", "shorter", "curto", "lighter", "leve"} & set(before)
    for word in (*reversed(before), *after):
        if word in NAMES:
            return NAMES[word]
    if cheaper:
        return "price" if cheaper & {"cheaper", "barato", "budget"} else "weight" if "leve" in cheaper else "duration"
    return "date" if value in YEARS and float(value).is_integer() else None


def _side(text: str, since: int, mention: Mention) -> tuple[int, int, int]:
    """-1 for an upper limit, 1 for a lower one, 0 for none; where its words begin; and where they end."""
    begin = max(since, mention.start - _BEFORE)
    before = text[begin : mention.start]
    bare = before.rstrip()
    if bare.endswith(("<", "<=", "≤", "=<")):
        return -1, begin + len(bare.rstrip("<=≤")), mention.unit_end
    if bare.endswith((">", ">=", "≥", "=>")):
        return 1, begin + len(bare.rstrip(">=≥")), mention.unit_end
    if text[mention.end : mention.end + 1] == "+":
        return 1, mention.start, max(mention.unit_end, mention.end + 1)
    after = list(WORD.finditer(text, mention.unit_end, mention.unit_end + _AFTER))
    tail = " ".join(match[0].lower() for match in after) + " "
    for side, phrases_after in ((1, _LOWER_AFTER), (-1, _UPPER_AFTER)):
        if phrase := next((each for each in phrases_after if tail.startswith(f"{each} ")), ""):
            return side, mention.start, after[phrase.count(" ")].end()
    tokens = [(match[0].lower(), begin + match.start()) for match in WORD.finditer(before)]
    return *_side_before(tokens, mention.start), mention.unit_end


def _side_before(tokens: Sequence[tuple[str, int]], start: int) -> tuple[int, int]:
    for last in range(len(tokens), max(0, len(tokens) - 4), -1):
        for size in (3, 2, 1):
            if last >= size:
                phrase = " ".join(word for word, _ in tokens[last - size : last])
                if phrase in _UPPER or phrase in _LOWER:
                    side = -1 if phrase in _UPPER else 1
                    negation = _negation(tokens, last - size)
                    return (-side, tokens[negation][1]) if negation >= 0 else (side, tokens[last - size][1])
        word = tokens[last - 1][0]
        if word not in _BETWEEN_WORDS and word not in NAMES:
            break
    return 0, start


def _negation(tokens: Sequence[tuple[str, int]], place: int) -> int:
    """The place of the word that negates what begins here ("not older than", "não seja anterior a"), else -1."""
    for before in range(place - 1, max(-1, place - 4), -1):
        if tokens[before][0] in _NEGATIONS:
            return before
        if tokens[before][0] not in _COPULAS:
            break
    return -1
