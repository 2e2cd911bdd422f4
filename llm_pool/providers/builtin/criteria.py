"""What a question states beside its topic: preferences, limits, exclusions, weights. Pure."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_pool.providers.builtin.exclusions import divided, freed
from llm_pool.providers.builtin.features import names_of
from llm_pool.providers.builtin.inputs import finite, strings
from llm_pool.providers.builtin.keys import PLAIN, QUERY, excludes
from llm_pool.providers.builtin.keys import named as names_in
from llm_pool.providers.builtin.numbers import NAMES, YEARS, bounds
from llm_pool.providers.builtin.preferences import PREFERENCES, Preference
from llm_pool.providers.builtin.tables import listed
from llm_pool.providers.builtin.text import QUALIFIERS, Language, clean, content, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llm_pool.providers.builtin.features import Features
    from llm_pool.providers.builtin.numbers import Bound

_MOST_CRITERIA = 8_000  # characters of query and criteria that are read
_OF_A_CALL = 40  # characters: what it costs to look at the shortest criterion
_MOST_FIELDS = 100  # of a question
_MOST_EXCLUDED = 64
_MOST_STATED = 16  # limits, and as many numbers: each is compared with each candidate
_SHORT_QUESTION = 16  # words
THE_CANDIDATES = listed("""
    commit note notes slogan tagline bio essay story poem snippet review reviews intro ending caption legenda redação
    option options candidate candidates choice choices one ones two summary summaries answer answers reply replies
    response responses text texts version versions explanation explanations description descriptions title titles
    headline headlines translation translations message messages email emails paragraph draft drafts output outputs
    following compare comparison choose pick select judge evaluate rank winner wins preferable worse worst stronger
    clearer opção opções candidato candidatos escolha escolher alternativa alternativas resumo resumos resposta
    respostas texto textos versão versões explicação explicações descrição descrições título títulos manchete manchetes
    tradução traduções mensagem mensagens parágrafo rascunho seguinte seguintes abaixo compare comparar comparação
    julgue avalie pior vencedor preferível fica
    """)
_IN_PASSING = 0.6  # the weight of a preference of the query itself, beside 1 for a stated criterion
_PERCENT = 100
_LIST_LIMIT = 40  # entries of a table of weights

_MAX = listed("max maximum maximo máximo maxima até under below lte lt most")
_MIN = listed("min minimum minimo mínimo minima over above gte gt least from since after")
_HIGH = listed(
    "high highest higher most more max maximum long longest longer big biggest large largest maior maiores mais alta "
    "alto altas best better good great strong strongest melhor melhores boa bom longa"
)
_LOW = listed(
    "low lowest lower least less fewest fewer min minimum short shortest shorter small smallest smaller light cheap "
    "menor menores menos baixo baixa baixos baixas pouca pouco poucas poucos curta"
)
_LESS_IS_BETTER = listed("price distance weight duration calories latency latência size error risk")
_GENERIC = listed("level value total number count avg average life per in of de index")
# Words of a criterion that tell how something is said: "mentions a refund" wants the refund.
_TELLING = listed("""
    mention mentions mentioned name names says said include includes included contain contains cover covers offer offers
    refer refers state states answer answers question give gives correct correctly menciona mencione cita cite diz
    inclui inclua contém contenha responde responda pergunta oferece correto correta
    """)
_BY_LENGTH = sorted(
    ((says, preference) for preference in PREFERENCES for says in preference.says.split("|")),
    key=lambda each: -len(each[0]),
)
_BY_NAME = {preference.name: preference for preference in PREFERENCES}
_ALSO_NEGATED = {
    word: name
    for name, words_of_it in {
        "cheap": "expensive caro cara",
        "easy": "difficult complicado difícil técnico technical complex",
        "quick": "slow demorado demorada",
        "light": "heavy pesado",
        "recent": "outdated desatualizado velho",
        "near": "far longe",
        "plain": "jargon jargão jargões buzzwords technical_terms termos_técnicos technical_jargon jargão_técnico",
        "specific": "vague vagueness vago vaga generalities generalidades",
        "concise": "verbose wordy padding prolixo prolixa enrolação",
        "sober": "hype exaggeration clickbait exagero exageros sensacionalismo",
    }.items()
    for word in words_of_it.split()
}


@dataclass(frozen=True, slots=True)
class Limit:
    """`low <= number <= high` of a candidate's number `name`."""

    name: str
    low: float
    high: float
    said: str  # as stated: "under 2 hours"
    soft: bool = False
    unit: str = ""  # in which it was stated: "hours"
    factor: float = 1.0  # of that unit


@dataclass(frozen=True, slots=True)
class Criteria:
    topic: tuple[str, ...]  # content words of the query, as written
    minor: tuple[str, ...]  # those that only praise
    preferences: tuple[tuple[Preference, float], ...]  # with their weights
    numbers: tuple[tuple[str, int, float], ...]  # name, 1 where more is better and -1 where less is, weight
    limits: tuple[Limit, ...]
    excluded: tuple[str, ...]
    wanted: tuple[str, ...]  # content words of the criteria that are none of the above


@dataclass(slots=True)
class _Reading:
    """The criteria while they are being read."""

    lang: Language
    stem: Callable[[str], str]
    names: frozenset[str]
    by_stem: Mapping[str, str]  # stem of a word -> the numeric field of the candidates that it names
    preferences: dict[str, tuple[Preference, float]]
    numbers: dict[str, tuple[int, float]]
    limits: list[Limit]
    excluded: list[str]
    wanted: list[str]
    left: int = _MOST_CRITERIA


def query_of(asked: Mapping[str, Any]) -> str:
    """What is asked for, in the words of the question, clean."""
    lower = {str(key).lower(): value for key, value in asked.items()}
    found = [clean(", ".join(strings(lower[name]))) for name in QUERY if lower.get(name)]
    return clean("\n".join(found)) or clean("\n".join(strings({**asked})))


def conditions_of(asked: Mapping[str, Any]) -> str:
    """What is asked for beside the query, in one line: "quiet", "max_price: 200, exclude: ads"."""
    fields = itertools.islice(asked.items(), _LIST_LIMIT)
    return ", ".join(_line(str(key), value) for key, value in fields if str(key).lower() not in QUERY)[:_MOST_CRITERIA]


def _line(name: str, value: object, deepest: int = 3) -> str:
    if isinstance(value, dict) and deepest:
        said = ", ".join(_line(str(key), each, deepest - 1) for key, each in [*value.items()][:_LIST_LIMIT])
    else:
        said = str(value).lower() if isinstance(value, bool) else clean(", ".join(strings(value)))
    return said if name.lower() in PLAIN else clean(f"{name}: {said}")


def criteria(
    asked: Mapping[str, Any], found: Sequence[Features], lang: Language, stem: Callable[[str], str]
) -> Criteria:
    """Read what the question states. Fields of candidates that it names count as criteria."""
    names = names_of(found)
    reading = _Reading(lang, stem, names, _field_stems(names, stem), {}, {}, [], [], [])
    query = query_of(asked)
    rest = _read_text(reading, query, weight=_IN_PASSING)
    about_them = _is_about_the_candidates(query, lang) and (len({*asked} - {*QUERY}) > 0 or bool(reading.preferences))
    reading.wanted.clear()
    if not about_them:
        reading.preferences = {name: held for name, held in reading.preferences.items() if not held[0].of_texts}
    for key, value in itertools.islice(asked.items(), _MOST_FIELDS):
        if str(key).lower() not in QUERY:
            _read_field(reading, str(key).lower(), value, deepest=4)
    if about_them and "duration" not in reading.names:  # a short text has few words, not few minutes
        for name, instead in (("quick", "concise"), ("long", "detailed")):
            if name in reading.preferences:
                _prefer(reading, _BY_NAME[instead], reading.preferences.pop(name)[1])
    said = [] if about_them else content(rest, lang)
    held = {each for one in found for each in one.stems}  # "A or B?" means the candidates: only a letter that one has
    topic = [word for word in said if word not in QUALIFIERS[lang] and (len(word) > 1 or word in held)]
    minor = [word for word in said if word in QUALIFIERS[lang]]
    taken = {*topic, *minor}
    measured = {reading.stem(word) for limit in reading.limits for word in limit.name.split()}
    return Criteria(
        topic=tuple(dict.fromkeys(topic or minor)),
        minor=tuple(dict.fromkeys(minor if topic else ())),
        preferences=tuple(reading.preferences.values()),
        numbers=tuple((name, better, weight) for name, (better, weight) in reading.numbers.items())[:_MOST_STATED],
        limits=tuple(reading.limits[:_MOST_STATED]),
        excluded=tuple(dict.fromkeys(reading.excluded))[:_MOST_EXCLUDED],
        wanted=tuple(
            word for word in dict.fromkeys(reading.wanted) if word not in taken and reading.stem(word) not in measured
        ),
    )


def _is_about_the_candidates(query: str, lang: Language) -> bool:
    """Whether it asks for nothing but a choice: "Which summary is better?" names no topic that one could have."""
    left = f" {' '.join(words(query[:_MOST_CRITERIA]))} "
    for says, _ in _BY_LENGTH:
        left = left.replace(f" {says} ", " ")
    said = [word for word in content(left, lang) if word not in QUALIFIERS[lang]]
    return 0 < len(words(query)) <= _SHORT_QUESTION and all(word in THE_CANDIDATES for word in said)


def _read_field(reading: _Reading, key: str, value: object, *, deepest: int, weight: float = 1.0) -> None:
    """One field of the question: `{"max_price": 200}`, `{"exclude": ["ads"]}`, `{"price": {"max": 9}}`, weights."""
    named = names_in(key)
    match value:
        case bool():
            if value:
                _read_text(reading, " ".join(named), weight=weight)
            else:
                reading.excluded.append(" ".join(named))
        case int() | float():
            _read_number(reading, key, named, finite(value))
        case dict() if deepest:
            for inner, each in list(value.items())[:_LIST_LIMIT]:
                outer = "" if key in PLAIN or "weight" in key or "peso" in key else f"{key}_"
                _read_field(reading, f"{outer}{str(inner).lower()}", each, deepest=deepest - 1)
        case str() | list() if excludes(key):
            given = value[:_MOST_CRITERIA].split(",") if isinstance(value, str) else strings(value)[:_LIST_LIMIT]
            reading.excluded += [bare for each in given if (bare := clean(each.lower()))]
        case list() if deepest:
            for each in value[:_LIST_LIMIT]:
                _read_entry(reading, key, each, deepest - 1)
        case str():
            language_named = key in {"language", "lang", "idioma"}
            spoken = (
                {"pt": "em português", "en": "in english"}.get(value[:2].lower(), value) if language_named else value
            )
            _read_text(reading, clean(spoken if key in PLAIN else f"{' '.join(named)} {spoken}"), weight=weight)
        case _:
            pass


def _read_number(reading: _Reading, key: str, named: Sequence[str], value: float) -> None:
    """A limit (`max_price`), or the weight of what the key names, up to 1 or in percent."""
    if {*named} & (_MAX | _MIN):
        _read_limit(reading, named, value)
    elif value in YEARS and any(NAMES.get(word) == "date" for word in named):
        reading.limits.append(Limit("date", value, value + 0.999, said=f"{value:.0f}"))
    elif 0 < value <= _PERCENT and not key.startswith(("top", "limit", "k", "n_")):
        _read_text(reading, " ".join(named), weight=value if value <= 1 else 1.0)


def _read_entry(reading: _Reading, key: str, entry: object, deepest: int) -> None:
    """One entry of a list of criteria: a text, or `{"name": ..., "weight": ..., "direction": ...}`."""
    if isinstance(entry, dict) and (name := entry.get("name") or entry.get("criterion") or entry.get("nome")):
        said = next((value for word in ("weight", "peso") if (value := entry.get(word)) is not None), 1.0)
        weight = finite(said) if isinstance(said, int | float) and 0 < said <= 1 else 1.0
        rest = ", ".join(
            strings([each for inner, each in entry.items() if inner not in {"name", "weight", "peso", "nome"}])
        )
        _read_text(reading, clean(f"{rest} {name}"), weight=weight)
    elif isinstance(entry, dict):
        _read_field(reading, key, entry, deepest=deepest)
    else:
        _read_text(reading, clean("\n".join(strings(entry))), weight=1.0)


def _read_limit(reading: _Reading, named: Sequence[str], value: float) -> None:
    upper = bool({*named} & _MAX)
    rest = [word for word in named if word not in _MAX | _MIN]
    kind = next((NAMES[word] for word in rest if word in NAMES), None) or _by_words(reading, rest)
    if kind is not None and kind in reading.names:
        high = value + (0.999 if kind == "date" else 0)
        words_of_it = (("no máximo", "pelo menos") if reading.lang == "pt" else ("at most", "at least"))[not upper]
        said = f"{words_of_it} {value:g}"
        low, high = (-math.inf, high) if upper else (value, math.inf)
        reading.limits.append(Limit(kind, low, high, said=said))


def _read_text(reading: _Reading, text: str, *, weight: float) -> str:
    """Take preferences, limits and exclusions from a text; what is left of it is returned, and kept as wanted."""
    text = text[: max(0, reading.left)]
    reading.left -= len(text) + _OF_A_CALL
    if not text:
        return text
    free = freed(text)
    wish = divided(free.kept, reading.lang)
    for term in (*free.excluded, *wish.excluded):
        if (preference := _negated(term)) is not None:
            _prefer(reading, preference, weight)
        else:
            reading.excluded.append(term)
    rest = wish.kept
    for bound in reversed(bounds(rest)):
        if (limit := _limit(reading, bound, rest)) is not None:
            reading.limits.append(limit)
            rest = f"{_unnamed(rest[: bound.start], limit.name)}\n{rest[bound.end :]}"
    _read_numbers(reading, words(rest), weight)
    left = _read_preferences(reading, rest, weight)
    skipped = QUALIFIERS[reading.lang] | _TELLING
    reading.wanted += [word for word in content(left, reading.lang) if word not in skipped]
    return rest


def _unnamed(text: str, name: str) -> str:
    """A text without the name of a limit that stood there: "rating at least 4" asks for no more than that."""
    head, _, last = text.rstrip(" :,").rpartition(" ")
    return head if NAMES.get(last.lower()) == name and _HIGH.isdisjoint(words(head)[-1:]) else text


def _read_preferences(reading: _Reading, text: str, weight: float) -> str:
    """The text without the words that state a preference; the longest phrases are looked for first."""
    left = f" {' '.join(words(text))} "
    for says, preference in _BY_LENGTH:
        if f" {says} " in left:
            _prefer(reading, preference, weight)
            left = left.replace(f" {says} ", " . ")
    return left


def _prefer(reading: _Reading, preference: Preference, weight: float) -> None:
    held = reading.preferences.get(preference.name)
    reading.preferences[preference.name] = (preference, max(weight, held[1] if held else 0.0))


def _negated(term: str) -> Preference | None:
    """The preference that excluding this states: "not too long", "nada caro"."""
    if (name := _ALSO_NEGATED.get(term.replace(" ", "_"))) is not None:
        return _BY_NAME[name]
    for says, preference in _BY_LENGTH:
        if says == term and preference.opposite in _BY_NAME:
            return _BY_NAME[preference.opposite]
    return None


def _limit(reading: _Reading, bound: Bound, text: str) -> Limit | None:
    """A field that the words before it name counts before the kind of its unit: "battery above 8 hours"."""
    name = _by_words(reading, bound.before)
    if name is None or name in NAMES.values():
        name = bound.kind if bound.kind in reading.names else None
    if name is None and bound.kind is None:
        name = _by_words(reading, (*bound.before, *bound.after))
    if name is None:
        return None
    said = " ".join(text[bound.start : bound.end].split())
    return Limit(name, bound.low, bound.high, said, bound.soft, bound.unit, bound.factor)


def _by_words(reading: _Reading, said: Iterable[str]) -> str | None:
    """The field of the candidates that one of these words names, the first word first."""
    return next((reading.by_stem[found] for word in said if (found := reading.stem(word)) in reading.by_stem), None)


def _field_stems(names: Iterable[str], stem: Callable[[str], str]) -> dict[str, str]:
    return {
        stem(word): name for name in sorted(names) for word in name.split() if len(word) > 1 and word not in _GENERIC
    }


def _read_numbers(reading: _Reading, said: Sequence[str], weight: float) -> None:
    """Numeric fields that the text names: "highest battery", "menor latência", "price"."""
    for place, word in enumerate(said):
        name = NAMES.get(word)
        if name not in reading.names:
            name = reading.by_stem.get(reading.stem(word))
        if name is None or name == "date":
            continue
        before = set(said[max(0, place - 3) : place])
        better = 1 if before & _HIGH and not before & _LOW else -1 if before & _LOW else 0
        if better or weight >= 1 or place == 0:
            reading.numbers[name] = (better or (-1 if name in _LESS_IS_BETTER else 1), weight)
