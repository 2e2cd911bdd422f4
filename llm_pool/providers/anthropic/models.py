"""What each of Anthropic's models takes, read off its name: they differ in what makes them answer 400. Pure.

Sources, as of November 2026: Anthropic's pages on thinking (its table of what each model rejects), effort, structured
outputs and system messages amid a conversation. A name that is newer than these is taken for one like the newest of its
line; one that is not Claude's belongs to a compatible server, which is spoken to as the first version of the API was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

# From the least to the most; "minimal" is another provider's word.
EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")

# `claude-opus-4-6`, with whatever a platform adds before and behind; and as it was called before version 4.
_NAMED = re.compile(r"claude-([a-z]+)-(\d{1,2})(?:-(\d{1,2}))?(?!\d)")
_OLDER = re.compile(r"claude-(\d)(?:-(\d))?(?!\d)")
_PREVIEW = "claude-mythos-preview"

_KEPT_ON = (5, 5)  # the Opus whose thinking cannot be turned off


@dataclass(frozen=True, slots=True)
class Traits:
    """`thinks`: without being asked to. `off`: the type of thinking that turns it off, None where nothing does.

    `samples`: takes temperature, top_p and top_k; `one_sampler`: not the first two of them at once. `forced`: can be
    made to call a tool, `kept_off` from calling one that it is shown. `hears_system`: takes system messages amid a
    conversation. `structured`: keeps to a schema. `signs`: refuses a thought without the signature that it came with.
    """

    adaptive: bool = False
    budgets: bool = True
    thinks: bool = False
    off: str | None = "disabled"
    efforts: tuple[str, ...] = ()
    samples: bool = True
    one_sampler: bool = False
    forced: bool = True
    kept_off: bool = True
    hears_system: bool = False
    structured: bool = False
    signs: bool = True


COMPATIBLE = Traits(kept_off=False, signs=False)  # llama-server knows no tool choice "none"


@lru_cache(maxsize=256)
def traits_of(model: str) -> Traits:
    name = model.lower()
    if _PREVIEW in name:
        efforts = ("low", "medium", "high", "max")
        return Traits(adaptive=True, thinks=True, off=None, efforts=efforts, samples=False, structured=True)
    if found := _NAMED.search(name):
        return _of(found[1], (int(found[2]), int(found[3] or 0)))
    if found := _OLDER.search(name):
        return Traits(budgets=(int(found[1]), int(found[2] or 0)) >= (3, 7))
    return COMPATIBLE


def _of(line: str, version: tuple[int, int]) -> Traits:
    known = line in {"opus", "sonnet", "haiku"}
    always_on = not known or (line == "opus" and version >= _KEPT_ON)
    between = line == "sonnet" and version >= (5, 5)
    unforced = version >= (5, 1) if not known else line != "haiku" and version >= (5, 5)
    hears_since = {"opus": (4, 8), "sonnet": (5, 5), "haiku": (5, 5)}.get(line, (5, 0))
    return Traits(
        adaptive=version >= (4, 6),
        budgets=version <= (4, 6),
        thinks=version >= (5, 0),
        off=None if always_on else "between_tools" if between else "disabled",
        efforts=_efforts(line, version),
        samples=version < (4, 7),
        one_sampler=True,
        forced=not unforced,
        hears_system=version >= hears_since,
        structured=version >= (4, 5) or (line, version) == ("opus", (4, 1)),
    )


def _efforts(line: str, version: tuple[int, int]) -> tuple[str, ...]:
    if version >= (4, 7):
        return EFFORTS[1:]
    if version == (4, 6):
        return ("low", "medium", "high", "max")
    return EFFORTS[1:4] if (line, version) == ("opus", (4, 5)) else ()
