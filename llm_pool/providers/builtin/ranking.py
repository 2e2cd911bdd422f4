"""Order candidates by a query and its criteria: relevance first, then what is stated, then variety. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_pool.providers.builtin.criteria import THE_CANDIDATES, conditions_of, criteria, query_of
from llm_pool.providers.builtin.features import Features, features
from llm_pool.providers.builtin.inputs import question, strings
from llm_pool.providers.builtin.numbers import NAMES
from llm_pool.providers.builtin.preferences import PREFERENCES
from llm_pool.providers.builtin.text import cut, language, quoted, stemmer
from llm_pool.providers.builtin.weighing import Weighed, weighed
from llm_pool.providers.builtin.wording import listing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_pool.core.candidates import Question
    from llm_pool.providers.builtin.criteria import Criteria
    from llm_pool.providers.builtin.text import Language

# Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking", 1998: their lambda. Near 1, for the criteria
# order here; variety only parts the near-duplicates.
LAMBDA = 0.9
_MOST_VARIED = 30  # places that are chosen one by one; the cost grows with the square
_MERIT = 0.55  # the weight of the stated preferences beside relevance at 1
_UNRELATED = 0.3  # the share of its merit that counts of a candidate about something else
_VIOLATION = 0.8  # of each hard criterion broken: nearly what being about something else costs
_SAID = 6  # words of the query that a reason names
# Words that state a preference are told by its name, where it is met, and are not missed.
_PREFERRED = frozenset(says for preference in PREFERENCES for says in preference.says.split("|") if " " not in says)
_BEST = 5  # candidates that get a reason


@dataclass(frozen=True, slots=True)
class Field:
    """The candidates of a question, read and weighed."""

    question: Question
    given: bool  # False: there were none, the text itself stands as "1"
    query: str
    conditions: str  # what is asked for beside it, in its words
    lang: Language
    stated: Criteria
    features: tuple[Features, ...]
    weighed: tuple[Weighed, ...]
    scores: tuple[float, ...]


def read_field(raw: str) -> Field:
    """Read a question and weigh its candidates."""
    asked, given = question(raw)
    query = query_of(asked.asked)
    said = query + "\n" + "\n".join(strings({**asked.asked}))
    offered = "\n".join(strings([dict(each.fields) for each in asked.candidates[:8]]))
    lang = language(said if query else offered, otherwise=offered)
    stem = stemmer(lang)
    found = features(asked.candidates, lang, stem)
    stated = criteria(asked.asked, found, lang, stem)
    results = weighed(found, stated, lang, stem)
    scores = tuple(_score(each, topical=any(one.relevance.covered for one in results)) for each in results)
    beside = conditions_of(asked.asked)
    conditions = "" if beside in query else beside
    return Field(asked, given, query, conditions, lang, stated, tuple(found), tuple(results), scores)


def _score(each: Weighed, *, topical: bool) -> float:
    share = _UNRELATED + (1 - _UNRELATED) * each.relevance.score if topical else 1.0
    return each.relevance.score + _MERIT * each.merit * share - _VIOLATION * len(each.violations) + each.extra


def rerank(raw: str) -> dict[str, Any]:
    """The answer to `rerank_candidates`."""
    field = read_field(raw)
    order = _varied(field.features, field.scores)
    ids = field.question.ids
    best = order[:_BEST]
    return {
        "ranking": [ids[place] for place in order],
        "reasons": {str(ids[place]): _reason(field, place, first=place == best[0]) for place in best},
    }


def _varied(found: Sequence[Features], scores: Sequence[float]) -> list[int]:
    """Places by maximal marginal relevance; equal ones in the order given."""
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    head, tail = order[:_MOST_VARIED], order[_MOST_VARIED:]
    nearest = dict.fromkeys(head, 0.0)
    chosen: list[int] = []
    while head:
        best = max(
            head, key=lambda place: (LAMBDA * scores[place] - (1 - LAMBDA) * nearest[place], -order.index(place))
        )
        head.remove(best)
        chosen.append(best)
        for place in head:
            nearest[place] = max(nearest[place], _alike(found[best], found[place]))
    return chosen + tail


def _alike(one: Features, other: Features) -> float:
    """Jaccard's index of their stems."""
    both = len(one.stems.keys() & other.stems.keys())
    return both / (len(one.stems.keys() | other.stems.keys()) or 1)


def _place_in(words: Sequence[str]) -> Callable[[str], int]:
    return lambda word: words.index(word) if word in words else len(words)


def explained(field: Field, place: int) -> str:
    """What speaks for and against one candidate: clauses in the question's language, `;` between them."""
    each, lang = field.weighed[place], field.lang
    portuguese = lang == "pt"
    parts = []
    matched = sorted(each.relevance.matched, key=_place_in((*field.stated.topic, *field.stated.minor)))
    told = {*matched, *each.denied, *NAMES, *THE_CANDIDATES, *_PREFERRED}
    missing = [word for word in field.stated.topic[:_SAID] if word not in told]
    if matched:
        nothing = "nada sobre " if portuguese else "nothing on "
        without = f", {nothing}{listing(missing[:3], lang, joint=('or', 'ou'))}" if missing else ""
        parts.append(f"{'contém' if portuguese else 'matches'} {listing(matched[:_SAID], lang)}{without}")
    if each.denied:
        parts.append(("diz não ter " if portuguese else "says it has no ") + listing(each.denied[:3], lang))
    parts += each.violations[:3]
    parts += each.notes[:4]
    if field.stated.topic and not matched and not each.notes:
        parts.append("nenhuma palavra da consulta" if portuguese else "none of the query's words")
    return "; ".join(parts) or ("nada a distingue" if portuguese else "nothing sets it apart")


def asked_for(field: Field, *, query: int, conditions: int) -> str:
    """What was asked, in parentheses; of the query and of what is asked beside it at most so many characters."""
    named = ("Pergunta", "critérios") if field.lang == "pt" else ("Question", "criteria")
    texts = (quoted(field.query, query), quoted(field.conditions, conditions))
    said = "; ".join(f'{name}: "{text}"' for name, text in zip(named, texts, strict=True) if text)
    return f"({said[:1].upper()}{said[1:]})" if said else ""


def _reason(field: Field, place: int, *, first: bool) -> str:
    """A sentence or two: what decided, and of whom it is said; of the first also what was asked."""
    said = cut(explained(field, place), 130 if first else 200)
    name = cut(field.features[place].heading, 50 if first else 70)
    asked = asked_for(field, query=40, conditions=40) if first else ""
    return f"{said[:1].upper()}{said[1:]}" + (f' ("{name}").' if name else ".") + (f" {asked}" if asked else "")
