"""How much a model of Anthropic's is asked to think, and the room its answer gets. Pure.

Models up to 4.6 are given a budget of tokens; from 4.6 on they think as much as they see fit, which `effort` steers.
Thinking counts towards `max_tokens`, so a budget must leave room below it: the caller's limit holds, for it is money.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_pool.providers.anthropic.models import EFFORTS

if TYPE_CHECKING:
    from llm_pool.core.types import Sampling
    from llm_pool.providers.anthropic.models import Traits
    from llm_pool.providers.anthropic.notes import Notes

MAX_TOKENS = 4096  # of an answer whose length nobody limits: the API wants a number
THINKING_ROOM = 12_288  # tokens more, where the model decides how much it thinks
LEAST_BUDGET = 1024  # tokens, says the API

# What an effort comes to for models that know budgets only.
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 24_576, "max": 32_768}

# The type of these models is "adaptive"; most of them would keep what they thought to themselves.
ADAPTIVE = {"type": "adaptive", "display": "summarized"}


@dataclass(frozen=True, slots=True)
class Thinking:
    """`config` None: nothing is said of it. `on`: the model was asked to think."""

    max_tokens: int
    config: dict[str, Any] | None = None
    effort: str | None = None

    @property
    def on(self) -> bool:
        return self.config is not None and self.config["type"] in {"adaptive", "enabled"}

    @property
    def budgeted(self) -> bool:
        return self.config is not None and self.config["type"] == "enabled"


def thinking(sampling: Sampling, traits: Traits, *, can_budget: bool, notes: Notes) -> Thinking:
    """`can_budget` is false where the conversation forbids thinking on a budget."""
    effort, tokens = sampling.effort, sampling.thinking_tokens
    room = sampling.max_tokens or (MAX_TOKENS + THINKING_ROOM if traits.thinks else MAX_TOKENS)
    if tokens == 0 or (tokens is None and effort == "none"):
        return _off(sampling, traits, room, notes)
    effort = None if effort == "none" else effort
    if tokens is not None and traits.budgets:
        return _budget(sampling, traits, tokens, "thinking_tokens", can_budget=can_budget, notes=notes)
    if tokens is not None:
        why = "decides for itself how much it thinks" if traits.adaptive else "has no model by this name that thinks"
        notes.ignored("thinking_tokens", why)
    if traits.adaptive and (tokens is not None or effort is not None):
        room = sampling.max_tokens or MAX_TOKENS + max(THINKING_ROOM, tokens or 0)
        return Thinking(room, ADAPTIVE, _level(effort, traits, notes))
    if effort is not None and traits.budgets and effort in BUDGETS:
        return _budget(sampling, traits, BUDGETS[effort], "effort", can_budget=can_budget, notes=notes)
    return Thinking(room, None, _level(effort, traits, notes))


def _off(sampling: Sampling, traits: Traits, room: int, notes: Notes) -> Thinking:
    effort = None if sampling.effort == "none" else sampling.effort
    if traits.off is None:
        asked = "thinking_tokens" if sampling.thinking_tokens == 0 else "effort"
        notes.ignored(asked, "cannot keep this model from thinking, so it is asked to think little")
        return Thinking(room, None, _level(effort or "low", traits, notes))
    if traits.adaptive and effort in {"xhigh", "max"}:
        notes.ignored("effort", "takes no more than high where it is not to think")
        effort = "high"
    return Thinking(
        sampling.max_tokens or MAX_TOKENS, {"type": traits.off}, _level(effort, traits, notes) if effort else None
    )


def _budget(sampling: Sampling, traits: Traits, budget: int, asked: str, *, can_budget: bool, notes: Notes) -> Thinking:
    most = sampling.max_tokens
    effort = sampling.effort if sampling.effort in traits.efforts else None
    if sampling.effort not in {None, "none", effort} and asked != "effort":
        notes.ignored("effort", "takes one of effort and thinking_tokens: the latter was sent")
    if not can_budget:
        notes.ignored(asked, "goes on with a turn that began without a thought, so it cannot think in it")
        return Thinking(most or MAX_TOKENS, None, effort)
    if most is not None and most <= LEAST_BUDGET:
        notes.ignored(asked, f"cannot think where max_tokens is {LEAST_BUDGET} or less")
        return Thinking(most, None, effort)
    fitting = max(budget, LEAST_BUDGET)
    if most is not None and fitting >= most:
        fitting = max(LEAST_BUDGET, most // 2)  # half is left to answer in
    if fitting != budget and asked == "thinking_tokens":
        notes.ignored(asked, f"thinks {fitting} tokens at most instead: at least {LEAST_BUDGET}, and below max_tokens")
    return Thinking(most or fitting + MAX_TOKENS, {"type": "enabled", "budget_tokens": fitting}, effort)


def _level(effort: str | None, traits: Traits, notes: Notes) -> str | None:
    """The word that the model takes for it: the next lower one, else the lowest."""
    if effort is None or effort in traits.efforts:
        return effort
    if effort not in EFFORTS or not traits.efforts:
        notes.ignored("effort", "does not know this one")
        return None
    lower = [level for level in traits.efforts if EFFORTS.index(level) < EFFORTS.index(effort)]
    level = lower[-1] if lower else traits.efforts[0]
    notes.ignored("effort", f"does not know this one: {level} is the nearest")
    return level
