"""Choose the best of several candidates by the stated criteria, or none. Pure."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from llm_pool.providers.builtin.ranking import asked_for, explained, read_field
from llm_pool.providers.builtin.tables import phrases
from llm_pool.providers.builtin.text import cut

if TYPE_CHECKING:
    from llm_pool.providers.builtin.features import Features
    from llm_pool.providers.builtin.ranking import Field
    from llm_pool.providers.builtin.weighing import Weighed

_MOST_SURE = 0.85  # words and numbers were compared, nothing was understood
_LEAST_SURE = 0.35
_CLEAR = 0.5  # the margin between the two best at which a choice is clear
_AGREEING = 0.1  # what being like the others counts: of answers to one question the common one is likelier right
_RELEVANCE = 0.7  # the weight of relevance beside the stated criteria at 1
_UNRELATED = 0.6  # the share of its merit that counts of a candidate about something else
_VIOLATION = 1.5  # of each hard criterion broken: more than anything makes up for
_MOST_COMPARED = 40
_EXPLAINED = 0.4  # the weight of relevance where an explanation is asked for
_INFORMING = 0.6  # and that of what an answer says of its own
_ENOUGH = 10  # different words beyond the question's: a sentence or two
_EXPLAINING = re.compile(
    r"(?:how (?:to|do|does|did|can|could|should|would|is|are)|why|como|por ?qu[eê])(?!\w)", re.IGNORECASE
)
# "Which commit message is best?" by how it is written: then nothing need be about commits.
_CHOOSING = re.compile(r"(?:which|compare|choose|pick|qual|quais|escolha)(?!\w)", re.IGNORECASE)
_OF_TEXTS = phrases("concise|detailed|specific|gives the cause|plain|sober|polite|with examples|with sources")


def judge(raw: str) -> dict[str, Any]:
    """The answer to `judge`."""
    field = read_field(raw)
    beside = zip(_scores(field), _agreement(field), strict=True)
    scores = [score + _AGREEING * like for score, like in beside]
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    best = order[0]
    asked = asked_for(field, query=80, conditions=50)
    if why := _unacceptable(field):
        return {"winner_id": None, "confidence": 0.6, "reason": f"{why} {asked}".strip()}
    margin = scores[best] - scores[order[1]] if len(order) > 1 else _CLEAR / 2
    sure = _LEAST_SURE + (_MOST_SURE - _LEAST_SURE) * math.tanh(max(0.0, margin) / _CLEAR)
    verb = "é o melhor" if field.lang == "pt" else "is best"
    name = cut(field.features[best].heading or str(field.question.ids[best]), 60)
    return {
        "winner_id": field.question.ids[best],
        "confidence": round(sure, 2),
        "reason": f'"{name}" {verb}: {cut(explained(field, best), 150)}. {asked}'.strip(),
    }


def _scores(field: Field) -> list[float]:
    """Stated criteria before the likeness of words: an answer need not repeat its question.

    Where an explanation is asked for, what it says beyond the question's words counts more than those: who only
    repeats them explains nothing. One that shares no word with the question may be about something else.
    """
    concise = any(one.name == "concise" for one, _ in field.stated.preferences)
    explaining = _EXPLAINING.match(field.query) is not None and not concise
    found = []
    for own, each in zip(field.features, field.weighed, strict=True):
        near = each.relevance.score
        share = _UNRELATED + (1 - _UNRELATED) * min(1.0, 2 * near)
        weight, told = (_RELEVANCE, 0.0) if not explaining else (_EXPLAINED, _INFORMING * _news(own, each))
        found.append(weight * near + told + each.merit * share - _VIOLATION * len(each.violations) + each.extra)
    return found


def _news(own: Features, each: Weighed) -> float:
    matched = len(each.relevance.matched)
    return min(1.0, (len(own.stems) - matched) / _ENOUGH) if matched else 0.0


def _unacceptable(field: Field) -> str:
    """Why there is no winner, or ""."""
    portuguese = field.lang == "pt"
    if not field.given:
        return "Nenhum candidato foi dado." if portuguese else "No candidates were given."
    if all(each.violations for each in field.weighed):
        broken = cut(", ".join(dict.fromkeys(each.violations[0] for each in field.weighed)), 150)
        return f"Todos violam um critério: {broken}." if portuguese else f"All break a criterion: {broken}."
    related = any(each.relevance.covered or each.measured for each in field.weighed)
    spoken = any(each.notes for each in field.weighed) and not field.stated.topic
    choosing = _CHOOSING.match(field.query) and any(one.name in _OF_TEXTS for one, _ in field.stated.preferences)
    if field.stated.topic and not related and not spoken and not choosing:
        return "Nenhum candidato trata da pergunta." if portuguese else "No candidate has to do with the question."
    return ""


def _agreement(field: Field) -> list[float]:
    """How much of a candidate's words the others have, too, on average."""
    stems = [frozenset(each.stems) for each in field.features[:_MOST_COMPARED]]
    like = [
        sum(len(own & other) / (len(own) or 1) for other in stems if other is not own) / max(1, len(stems) - 1)
        for own in stems
    ]
    return like + [0.0] * (len(field.features) - len(like))
