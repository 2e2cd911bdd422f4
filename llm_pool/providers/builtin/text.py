"""The ground that the engine stands on: clean text, words, sentences, language and stems. Pure.

Theory of operation: only the first `MOST` characters of anything are looked at, for the engine holds the interpreter's
lock and the rest of the pool waits for it meanwhile; the work grows with the length of a text and not with its square;
a word is compared by its `stem`, never as written.
"""

from __future__ import annotations

import re
import unicodedata
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import Stemmer

from llm_pool.providers.builtin import synonyms_en, synonyms_pt, words_en, words_pt
from llm_pool.providers.builtin.tables import phrases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Language: TypeAlias = Literal["en", "pt"]

MOST = 16_384  # characters of a question, its candidates included: what `qos.max_prompt_bytes` lets through by default
LONGEST_WORD = 40  # characters: the longest word of Portuguese has 46, and a longer one is no word but noise
_MOST_SENTENCES = 600
_FOR_LANGUAGE = 400  # words: after a page the language is known

# Letters and digits, joined by a hyphen, a dot or an apostrophe that has some on both sides; "c++" and "c#" are words.
WORD = re.compile(r"[^\W_]+(?:[.'\u2019\-][^\W_]+)*(?:\+\+|#)?")
_PARTS = re.compile(r"[.'\u2019\-]")
_UNPRINTABLE = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\ud800-\udfff]"
)
# Pieces to compose, an ASCII base with its marks: of one long run of marks the library's sorting takes quadratic time.
_TO_COMPOSE = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]{1,62}")
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n[ \n]*")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'\u201d\u2019)\]]?\s+(?=[^\sa-zà-ÿ])|\n+")
_MARKS_BEFORE, _MARKS_AFTER = " \n#>*•-\u2013\u2014=_|`~", " \n#*=_|`~"

STOP = {"en": words_en.STOP | words_en.ASKING, "pt": words_pt.STOP | words_pt.ASKING}
QUALIFIERS = {"en": words_en.QUALIFIERS, "pt": words_pt.QUALIFIERS}
SYNONYMS = {"en": synonyms_en.SYNONYMS, "pt": synonyms_pt.SYNONYMS}

_KNOWN_EN = words_en.STOP | words_en.ASKING | words_en.QUALIFIERS | synonyms_en.SYNONYMS.keys()
_KNOWN_PT = words_pt.STOP | words_pt.ASKING | words_pt.QUALIFIERS | synonyms_pt.SYNONYMS.keys()
# Single letters that are words of a sentence in one of the languages, and say nothing; "C" and "R" do.
_SMALL = frozenset("aàáeéioóuy")

_ONLY_EN = frozenset(_KNOWN_EN - _KNOWN_PT)
_ONLY_PT = frozenset(_KNOWN_PT - _KNOWN_EN)
_PT_LETTERS = re.compile(r"[ãõçáâàéêíóôú]")
_PT_ENDINGS = phrases("ção|ções|ão|dade|inho|inha|mente|agem|eiro|eira|ando|endo|ável|ível")
_EN_ENDINGS = ("ing", "tion", "ness", "ly", "ght", "th", "ck", "ee", "oo")
# Of "-el" and "-il" the vowel goes, for "-eis" is the plural of both. Keys to compare by, not words.
_PT_INFLECTED = (
    ("ões", "ão"), ("ães", "ão"), ("ãos", "ão"), ("ã", "ão"), ("ais", "al"), ("éis", "l"), ("eis", "l"), ("el", "l"),
    ("il", "l"), ("óis", "ol"), ("ois", "ol"), ("ens", "em"), ("ns", "m"), ("zes", "z"), ("tis", "tl"), ("vis", "vl"),
    ("nis", "nl"), ("as", "a"), ("os", "o"),
)  # fmt: skip
_SHORTEST_INFLECTED = 2  # letters
_HINT = 0.4  # of a stop word's certainty: letters and endings are shared with other languages


def clean(text: str) -> str:
    """The text's beginning in one spelling (NFC), without control characters, with single spaces and line ends."""
    text = _TO_COMPOSE.sub(lambda piece: unicodedata.normalize("NFC", piece[0]), text[:MOST])[:MOST]
    text = _SPACES.sub(" ", _UNPRINTABLE.sub(" ", text.replace("\r", "\n")))
    return _LINES.sub("\n", text).strip()


def words(text: str) -> list[str]:
    """The words in lower case, as they stand, each at most `LONGEST_WORD` long."""
    return [word[:LONGEST_WORD] for word in WORD.findall(text.lower())]


def language(text: str, *, otherwise: str = "") -> Language:
    """The likelier of the two by words that only one of them has (Dunning 1994 needs models, we have lists).

    Where nothing tells, the text `otherwise` is asked, and then it is English.
    """
    score = 0.0
    for word in words(text[: _FOR_LANGUAGE * 10])[:_FOR_LANGUAGE]:
        if word in _ONLY_PT:
            score += 1.0
        elif word in _ONLY_EN:
            score -= 1.0
        elif _PT_LETTERS.search(word) or word.endswith(_PT_ENDINGS):
            score += _HINT
        elif word.endswith(_EN_ENDINGS):
            score -= _HINT
    if score == 0 and otherwise:
        return language(otherwise)
    return "pt" if score > 0 else "en"


def content(text: str, lang: Language) -> list[str]:
    """The words that say something: neither stop words nor small letters, numbers included."""
    stop = STOP[lang]
    return [word for word in words(text) if word not in stop and word not in _SMALL]


def stemmer(lang: Language) -> Callable[[str], str]:
    """A function from a word to its stem (Porter 2 and its Portuguese sibling, Snowball), accents folded.

    A new one for every answer: a stemmer of the library may be used by one thread only.
    """
    if lang == "pt":
        return partial(_stem_pt, Stemmer.Stemmer("portuguese"))
    return partial(_stem, Stemmer.Stemmer("english"))


def _stem(stemmer: Stemmer.Stemmer, word: str) -> str:
    return folded(str(stemmer.stemWord(word)))


def _stem_pt(stemmer: Stemmer.Stemmer, word: str) -> str:
    """Snowball leaves "papel" and "papéis", "avião" and "aviões", "boa" and "boas" apart: they are joined before it."""
    if len(word) > _SHORTEST_INFLECTED:
        for ending, singular in _PT_INFLECTED:
            if word.endswith(ending):
                word = word.removesuffix(ending) + singular
                break
    return _stem(stemmer, word)


def folded(text: str) -> str:
    """Without accents: people leave them out."""
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def stems(text: str, lang: Language, stem: Callable[[str], str]) -> list[str]:
    """The stems of the content words. A joined word is its parts but for single letters, a number stays whole."""
    stop = STOP[lang]
    found: list[str] = []
    for word in words(text):
        if word in stop or word in _SMALL:
            continue
        if len(word) == 1:
            found.append(word)
            continue
        parts = [word] if word[0].isdigit() else _PARTS.split(word)
        found.extend(
            stem(part) for part in parts if part and part not in stop and (len(part) > 1 or not part.isalpha())
        )
    return found


def sentences(text: str) -> list[str]:
    """The sentences and lines of a clean text, without the marks of lists and headings."""
    parts = _SENTENCE_END.split(text, maxsplit=_MOST_SENTENCES)[:_MOST_SENTENCES]
    return [bare for part in parts if (bare := part.lstrip(_MARKS_BEFORE).rstrip(_MARKS_AFTER))]


def cut(text: str, limit: int, *, mark: str = "…") -> str:
    """At most `limit` characters of the text, cut between words where it has any; `mark` says that it was cut."""
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    kept = text[: limit - len(mark) + 1]
    whole = kept.rpartition(" ")[0].rstrip(" ,;:-\u2013\u2014(") or kept[: limit - len(mark)]
    return whole + mark


def quoted(text: str, limit: int) -> str:
    """A text in one line. Of one that is too long the beginning and the end, where most say what they want."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    end = line[-(limit // 3) :].partition(" ")[2] or line[-(limit // 3) :]
    return f"{cut(line, limit - len(end) - 3)} {end}"


def distinct(terms: Iterable[str]) -> list[str]:
    """Each term once, without regard to case, in the order given."""
    return list({term.casefold(): term for term in reversed([*terms])}.values())[::-1]
