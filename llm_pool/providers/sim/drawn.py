"""What a simulated model has beside words: how likely they were, vectors, the seal of a thought. Pure and seeded."""

from __future__ import annotations

import math
import random
from array import array
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING

from llm_pool.core.types import Logprob

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_ALTERNATIVES = 20  # as many as OpenAI tells

_OTHERS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "iris", "juniper", "kestrel",
           "lark", "maple", "north", "opal", "pine", "quartz", "river", "stone", "tide", "umber")  # fmt: skip


def seeded(*what: object) -> random.Random:
    """Equal values give equal draws, in any process: Python's own hash of a text differs from one to the next."""
    return random.Random(blake2b(repr(what).encode(), digest_size=16).digest())  # noqa: S311 - nothing is secret


def likelihoods(words: Sequence[str], rng: random.Random, *, alternatives: int) -> list[Logprob]:
    """One for each word, which is the likeliest; each alternative has half of what is left of the certainty."""
    return [_likelihood(word, rng.uniform(0.5, 0.99), min(alternatives, MOST_ALTERNATIVES)) for word in words]


def _likelihood(word: str, certain: float, alternatives: int) -> Logprob:
    own = _logprob(word, certain)
    if not alternatives:
        return own
    others = islice((other for other in _OTHERS if other != word), alternatives - 1)
    left = 1 - certain
    top = (own, *(_logprob(other, left / 2 ** (place + 1)) for place, other in enumerate(others)))
    return Logprob(own.token, own.logprob, own.bytes, top)


def _logprob(word: str, likely: float) -> Logprob:
    return Logprob(word, math.log(likely), tuple(word.encode(errors="replace")))


def unit_vector(dimensions: int, rng: random.Random) -> tuple[float, ...]:
    numbers = array("h", rng.randbytes(2 * dimensions))
    length = math.sqrt(sum(number * number for number in numbers))
    if not length:
        return (1.0, *[0.0] * (dimensions - 1))
    return tuple([number / length for number in numbers])


def seal(text: str, provider: str) -> str:
    """What a thought must come back with to be known again."""
    return blake2b(text.encode(errors="surrogatepass"), key=provider.encode()[:64], digest_size=24).hexdigest()
