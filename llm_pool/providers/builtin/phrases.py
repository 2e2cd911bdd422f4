"""Key phrases of a text and its most central sentences, without a model.

Phrases: RAKE (Rose, Engel, Cramer and Cowley, "Automatic Keyword Extraction from Individual Documents", 2010): runs of
content words between stop words and punctuation, scored by the degree over the frequency of their words. Sentences: the
nearest to the text's centroid (Radev, Jing, Stys and Tam, "Centroid-based summarization of multiple documents", 2004).
Both read each word a fixed number of times.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_pool.providers.builtin.text import QUALIFIERS, STOP, WORD, Language, sentences, stems

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

LONGEST = 3  # content words: longer runs are parts of sentences
_JOINING = {"en": frozenset({"of"}), "pt": frozenset({"de", "do", "da", "dos", "das"})}
_PUNCTUATION = re.compile(r"[^\w\s.'\u2019\-#+]|\.(?!\w)|\s[\-\u2013\u2014]\s|\n")
_LATE = 0.5  # what the last place of a text takes from a phrase's score: what matters is said early


@dataclass(frozen=True, slots=True)
class Phrase:
    text: str  # lower case, as it stands in the text
    words: tuple[str, ...]  # its content words
    score: float


def runs(text: str, lang: Language, *, also_stop: Collection[str] = ()) -> list[tuple[str, ...]]:
    """The runs of content words in order, in lower case. A preposition of names ("bolo de milho") stays inside one."""
    stop, joining = STOP[lang], _JOINING[lang]
    found: list[tuple[str, ...]] = []
    for piece in _PUNCTUATION.split(text.lower()):
        run: list[str] = []
        for word in WORD.findall(piece):
            if (
                word not in stop and word not in also_stop and (len(word) > 1 or word.isdigit() or word > "\u2e80")
            ) or (word in joining and run):
                run.append(word)
            else:
                found.append(_without_joints(run, joining))
                run = []
        found.append(_without_joints(run, joining))
    return [run for run in found if run]


def chunks(run: Sequence[str], lang: Language) -> list[tuple[str, ...]]:
    """A run in pieces of at most `LONGEST` content words; a long one is divided at its prepositions first."""
    joining = _JOINING[lang]
    if sum(word not in joining for word in run) <= LONGEST:
        return [tuple(run)]
    pieces: list[list[str]] = [[]]
    for word in run:
        held = sum(each not in joining for each in pieces[-1])
        if held >= LONGEST or (word in joining and held >= LONGEST - 1):
            pieces.append([])
        pieces[-1].append(word)
    return [bare for piece in pieces if (bare := _without_joints(piece, joining))]


def key_phrases(text: str, lang: Language) -> list[Phrase]:
    """All phrases of the text, the best first, each once."""
    joining = _JOINING[lang]
    candidates = [chunk for run in runs(text, lang) for chunk in chunks(run, lang)]
    bare = [tuple(word for word in chunk if word not in joining) for chunk in candidates]
    frequency = Counter(word for each in bare for word in each)
    degree: Counter[str] = Counter()
    for each in bare:
        for word in each:
            degree[word] += len(each)
    times = Counter(" ".join(chunk) for chunk in candidates)
    found: dict[str, Phrase] = {}
    for place, (chunk, content) in enumerate(zip(candidates, bare, strict=True)):
        whole = " ".join(chunk)
        if whole in found or not content:
            continue
        rake = sum(degree[word] / frequency[word] for word in content)
        weight = sum(math.log1p(frequency[word]) for word in content) / len(content)
        early = 1 - _LATE * place / len(candidates)
        praise = 0.5 if content[0] in QUALIFIERS[lang] else 1.0
        score = rake * weight * (1 + math.log(times[whole])) * early * praise
        found[whole] = Phrase(whole, content, score)
    return sorted(found.values(), key=lambda phrase: -phrase.score)


def frequent(text: str, lang: Language) -> list[str]:
    """The text's content words that are no numbers, the most frequent first, then in their order."""
    stop = STOP[lang]
    counted = Counter(word for word in WORD.findall(text.lower()) if word not in stop and len(word) > 1)
    return [word for word, _ in counted.most_common() if not word[0].isdigit()]


@dataclass(frozen=True, slots=True)
class Sentence:
    text: str
    place: int
    stems: frozenset[str]
    score: float


def central(text: str, lang: Language, stem: Callable[[str], str], *, towards: Iterable[str] = ()) -> list[Sentence]:
    """The sentences of the text, the best first: near its centroid, early, and near the stems `towards`, if given."""
    bodies = sentences(text)
    split = [stems(body, lang, stem) for body in bodies]
    centroid = Counter(each for body in split for each in set(body))
    length = math.sqrt(sum(count * count for count in centroid.values())) or 1.0
    wanted = frozenset(towards)
    found = []
    for place, (body, words) in enumerate(zip(bodies, split, strict=True)):
        own = frozenset(words)
        near = sum(centroid[each] for each in own) / (length * math.sqrt(len(own) or 1))
        asked = len(own & wanted) / len(wanted) if wanted else 0.0
        early = 1 / (1 + place / 4)
        found.append(Sentence(body, place, own, 2 * asked + near + 0.3 * early if own else 0.0))
    return sorted(found, key=lambda sentence: -sentence.score)


def _without_joints(run: Sequence[str], joining: Collection[str]) -> tuple[str, ...]:
    start, end = 0, len(run)
    while start < end and run[start] in joining:
        start += 1
    while end > start and run[end - 1] in joining:
        end -= 1
    return tuple(run[start:end])
