"""How much candidates have to do with a query: BM25, and how many of its words each one has.

BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009) by the library bm25s. A word that is
missing may be stood in for by a synonym or by a word of the same beginning.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_pool.providers.builtin.text import SYNONYMS, Language, stems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_pool.providers.builtin.features import Features

_BM25, _COVERED, _PAIRS = 0.45, 0.45, 0.1  # shares of the score: rare words, all of the words, words side by side
_STAND_IN = 0.5  # what a synonym counts beside the word itself
_MINOR = 0.3  # what a word counts that only praises ("best")
_SAME_BEGINNING = 5  # letters: "fáceis" and "fácil" have no stem in common
_MOST_ALIKE = 32  # words of one beginning
_MOST_TERMS = 64  # words of a query: a longer one is a text, whose first words say what it is about


@dataclass(frozen=True, slots=True)
class Relevance:
    score: float  # 0 to 1, 1 only for what could not be better
    covered: float  # 0 to 1: the share of the query's words that it has, rare ones counting more
    matched: tuple[str, ...]  # the words of the query that it has, as written in the query


def relevance(
    found: Sequence[Features], topic: Sequence[str], minor: Sequence[str], lang: Language, stem: Callable[[str], str]
) -> list[Relevance]:
    """One for each candidate. Without any word to look for, or none found, all scores are 0."""
    terms = _terms([*topic[:_MOST_TERMS], *minor[:_MOST_TERMS]], lang, stem)
    weights = {each: _MINOR for word in minor[:_MOST_TERMS] for each in stems(word, lang, stem)}
    weights |= {each: 1.0 for word in topic[:_MOST_TERMS] for each in stems(word, lang, stem)}
    beginnings: defaultdict[str, set[str]] = defaultdict(set)
    for each in {each for features in found for each in features.stems}:
        beginnings[each[:_SAME_BEGINNING]].add(each)
    stand_ins = {each: _stand_ins(word, each, beginnings, lang, stem) for each, word in terms.items()}
    rarity = _rarity(found, terms, stand_ins)
    bm25 = _bm25(found, weights, stand_ins)
    pairs = [f" {first} {second} " for first, second in itertools.pairwise(topic)][:_MOST_TERMS]
    total = sum(rarity[each] * weights[each] for each in terms) or 1.0
    result = []
    for features, ranked in zip(found, bm25, strict=True):
        matched, covered = [], 0.0
        for each, word in terms.items():
            if each in features.stems:
                share = 1.0
            elif any(other in features.stems for other in stand_ins[each]):
                share = _STAND_IN
            else:
                continue
            matched.append(word)
            covered += share * rarity[each] * weights[each] / total
        beside = sum(pair in features.words for pair in pairs) / len(pairs) if pairs else 0.0
        score = _BM25 * ranked + _COVERED * covered + _PAIRS * beside
        result.append(Relevance(min(1.0, score), min(1.0, covered), tuple(dict.fromkeys(matched))))
    return result


def _terms(words: Sequence[str], lang: Language, stem: Callable[[str], str]) -> dict[str, str]:
    """Stem -> the word of the query that it comes from."""
    return {each: word for word in reversed(words) for each in stems(word, lang, stem)}


def _stand_ins(
    word: str, own: str, beginnings: Mapping[str, set[str]], lang: Language, stem: Callable[[str], str]
) -> frozenset[str]:
    """Of the words of the candidates, by their first letters, those that may stand for this one."""
    near = {each for other in SYNONYMS[lang].get(word, ()) if " " not in other for each in stems(other, lang, stem)}
    near = {each for each in near if each in beginnings.get(each[:_SAME_BEGINNING], ())}
    if len(own) >= _SAME_BEGINNING:
        alike = sorted(beginnings.get(own[:_SAME_BEGINNING], ()))[:_MOST_ALIKE]
        near |= {each for each in alike if abs(len(each) - len(own)) <= _SAME_BEGINNING - 2}
    return frozenset(near - {own})


def _rarity(
    found: Sequence[Features], terms: Mapping[str, str], stand_ins: Mapping[str, frozenset[str]]
) -> dict[str, float]:
    """Robertson's inverse document frequency, as Lucene has it. A word that nobody has counts as one that all have."""
    held = {each: sum(1 for one in found if each in one.stems or stand_ins[each] & one.stems.keys()) for each in terms}
    return {
        each: math.log(1 + (len(found) - count + 0.5) / (count + 0.5)) if count else math.log(1.5)
        for each, count in held.items()
    }


def _bm25(
    found: Sequence[Features], weights: Mapping[str, float], stand_ins: Mapping[str, frozenset[str]]
) -> list[float]:
    """Scores with the best one at 1; all 0 where nothing is found (then numpy is not even loaded)."""
    vocabulary = frozenset(each for features in found for each in features.stems)
    known = {each: weight for each, weight in weights.items() if each in vocabulary}
    near = {each: weights[own] * _STAND_IN for own, others in stand_ins.items() for each in others if each not in known}
    groups: dict[float, list[str]] = {}
    for each, weight in (near | known).items():
        groups.setdefault(weight, []).append(each)
    if not groups:
        return [0.0] * len(found)

    import bm25s  # noqa: PLC0415 - it brings numpy, 28 MB that a server without rankings never needs

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # importing it makes it tell of every index
    index = bm25s.BM25()
    index.index([list(features.stems.elements()) for features in found], show_progress=False)
    scores = [0.0] * len(found)
    for weight, tokens in groups.items():
        scores = [held + weight * float(own) for held, own in zip(scores, index.get_scores(tokens), strict=True)]
    best = max(scores)
    return [score / best for score in scores] if best > 0 else scores
