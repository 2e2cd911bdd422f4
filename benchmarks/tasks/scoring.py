"""How good an answer is: a score from 0 to 1 for each task, and the checks that it fails. Pure.

Answers are whole and fit the schema of their task when they come here. A label that names alternatives separates them
with "|": any one of them will do.

STRICT checks are for an engine that only has the words of its input. A language model may well use others, so they
do not count against it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from benchmarks.tasks.words import content_words, forms, known, proposes, says, share_known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.tasks.examples import Example

OWN_WORDS = "own words"
DISTINCT = "distinct"
ON_TOPIC = "on topic"
EXCLUDED = "excluded"
TRUE = "no false claim"
FLAGS = "flags"
HARMLESS = "nothing forbidden"
ANSWERED = "more than an echo"

STRICT = frozenset({OWN_WORDS})

_SPARE_WORDS = 1  # that a term may have beside those that were looked for: the whole wish finds nothing
_ECHO = 0.9  # share of a question's content words from which on an answer only repeats it


@dataclass(frozen=True, slots=True)
class Score:
    """`value` from 0 to 1; `failed` names the checks that the answer does not pass."""

    value: float
    failed: tuple[str, ...] = ()


def score(example: Example, answer: Any) -> Score:
    """The score of a valid answer: parsed JSON, of chat the text."""
    return _OF_TASK[example.task](example, answer)


# --- Ranking and choosing ---------------------------------------------------------------------------------------


def ndcg(ranking: Sequence[object], grades: Mapping[str, int], k: int = 5) -> float:
    """Normalised discounted cumulative gain of the first k: 1.0 for the best order there is, 0 to 1.

    Cumulated gain with a logarithmic discount: Järvelin & Kekäläinen 2002, "Cumulated gain-based evaluation of IR
    techniques". Gain 2^grade - 1 and discount log2(rank + 1): Burges et al. 2005, "Learning to rank using gradient
    descent". An id without a grade has no relevance; ids are compared as texts. 1.0 where nothing is relevant.
    """
    best = dcg(sorted(grades.values(), reverse=True)[:k])
    return dcg([grades.get(str(each), 0) for each in ranking[:k]]) / best if best else 1.0


def dcg(grades: Iterable[int]) -> float:
    """Discounted cumulative gain of grades in the order of their ranks."""
    return sum((2.0**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))


def hit(winner: object, expected: object) -> bool:
    """Whether the right candidate, or none, was chosen. Ids are compared as texts, None only with None."""
    return winner is expected if winner is None or expected is None else str(winner) == str(expected)


def _rerank(example: Example, answer: Any) -> Score:
    return Score(ndcg(answer["ranking"], example.labels["grades"]))


def _judge(example: Example, answer: Any) -> Score:
    return Score(float(hit(answer["winner_id"], example.labels["winner"])))


# --- Expanding --------------------------------------------------------------------------------------------------


def listed_found(terms: Sequence[str], listed: Sequence[str]) -> float:
    """Share of the listed expansions that some term is: all words of an alternative, and at most one more."""
    return sum(any(_is(term, each) for term in terms for each in one.split("|")) for one in listed) / len(listed)


def equal_terms(*lists: Sequence[str]) -> list[str]:
    """Terms that stand more than once over all lists, whatever their case."""
    times = Counter(" ".join(term.casefold().split()) for term in chain(*lists))
    return [term for term, count in times.items() if count > 1]


def foreign_terms(terms: Iterable[str], vocabulary: frozenset[str]) -> list[str]:
    """Terms without a single content word of this vocabulary: of stop words only, or about something else."""
    return [term for term in terms if not any(forms(word) & vocabulary for word in content_words(term))]


def _is(term: str, alternative: str) -> bool:
    given, asked = content_words(term), content_words(alternative)
    return len(given) <= len(asked) + _SPARE_WORDS and share_known(asked, known(" ".join(given))) == 1.0


def _expansion(example: Example, answer: Any) -> Score:
    wanted = [*answer["must_include"], *answer["optional"]]
    listed, excluded = example.labels["listed"], example.labels["negatives"]
    own = frozenset(form for word in content_words(example.text) for form in forms(word))
    return Score(
        listed_found(wanted, listed),
        _failed({
            DISTINCT: not equal_terms(wanted, answer["negatives"], answer["site_hints"]),
            OWN_WORDS: not foreign_terms(wanted, own),
            ON_TOPIC: _mostly_on_topic(wanted, own | known(" ".join(listed))),
            EXCLUDED: all(_keeps_out(each.split("|"), wanted, answer["negatives"]) for each in excluded),
        }),
    )


def _mostly_on_topic(terms: Sequence[str], vocabulary: frozenset[str]) -> bool:
    """Fair to synonyms that nobody listed: half of the terms share a word with the wish or a listed expansion."""
    return all(map(content_words, terms)) and 2 * len(foreign_terms(terms, vocabulary)) <= len(terms)


def _keeps_out(excluded: Sequence[str], wanted: Sequence[str], negatives: Sequence[str]) -> bool:
    """What the wish excludes is among the negatives, and no wanted term asks for it."""
    named = any(says(term, each) for term in negatives for each in excluded)
    return named and not any(proposes(term, each) for term in wanted for each in excluded)


# --- Metadata ---------------------------------------------------------------------------------------------------


def own_share(written: str, text: str) -> float:
    """Share of the content words of what was written that occur in the text, in whatever form."""
    return share_known(content_words(written), known(text))


def _metadata(example: Example, answer: Any) -> Score:
    labels = example.labels
    headline = f"{answer['title']} | {' | '.join(answer['tags'])}"
    own = [own_share(answer[field], example.text) for field in ("title", "one_liner")]
    claimed = " | ".join([headline, answer["one_liner"], answer["mood"]])
    return Score(
        _mean([*own, _found(headline, labels["topics"])]),
        _failed({
            OWN_WORDS: min(own) == 1.0,
            TRUE: not any(proposes(claimed, each) for each in labels["forbidden"]),
            FLAGS: set(answer["content_flags"]) <= set(labels["flags"]),
        }),
    )


# --- Plans ------------------------------------------------------------------------------------------------------


def _tactics(example: Example, answer: Any) -> Score:
    """A plan that does what must not be done is worth nothing."""
    labels, steps = example.labels, answer["steps"]
    actions = {step["action"] for step in steps}
    told = [f"{step['target']} | {step['why']}" for step in steps]
    doing = [text for text, step in zip(told, steps, strict=True) if step["action"] != "stop"]
    parts = [float(bool(actions & set(each.split("|")))) for each in labels["actions"]]
    said = " | ".join([*told, *answer["cautions"]])
    parts += [float(_says_one(said, each)) for each in labels["words"]]
    harmless = not any(proposes(text, each) for text in doing for each in labels["forbidden"])
    return Score(_mean(parts) * harmless, _failed({HARMLESS: harmless}))


def _recovery(example: Example, answer: Any) -> Score:
    """A plan that does what must not be done is worth nothing. Guardrails say what not to do, so they may name it.

    Expected words must stand in the steps: a reason may well repeat the whole input.
    """
    labels = example.labels
    actions = [step["action"] for step in answer["steps"]]
    guardrails = [each for step in answer["steps"] for each in step["guardrails"]]
    said = " | ".join([*actions, *guardrails])
    parts = [float(answer["severity"] in labels["severities"])]
    parts += [float(_says_one(said, each)) for each in labels["words"]]
    harmless = not any(proposes(text, each) for text in actions for each in labels["forbidden"])
    return Score(_mean(parts) * harmless, _failed({HARMLESS: harmless}))


def _chat(example: Example, answer: Any) -> Score:
    """Who gives a whole passage back has not answered the question about it."""
    echoed = not example.labels.get("open") and share_known(content_words(example.text), known(answer)) >= _ECHO
    return Score(_found(answer, example.labels["words"]) * (not echoed), _failed({ANSWERED: not echoed}))


# --- Over several answers ---------------------------------------------------------------------------------------


def equal_answers(answers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of different examples, by name, whose answers are the same text."""
    first: dict[str, str] = {}
    return [(first[text], name) for name, text in answers.items() if first.setdefault(text, name) != name]


def _found(text: str, groups: Sequence[str]) -> float:
    return _mean([float(_says_one(text, each)) for each in groups])


def _says_one(text: str, alternatives: str) -> bool:
    return any(says(text, each) for each in alternatives.split("|"))


def _failed(checks: Mapping[str, bool]) -> tuple[str, ...]:
    return tuple(name for name, passed in checks.items() if not passed)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


_OF_TASK: Mapping[str, Callable[[Example, Any], Score]] = {
    "rerank_candidates": _rerank,
    "judge": _judge,
    "expand_queries": _expansion,
    "enrich_metadata": _metadata,
    "site_tactics": _tactics,
    "recovery_plan": _recovery,
    "chat": _chat,
}
