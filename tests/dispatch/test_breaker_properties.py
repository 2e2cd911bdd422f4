"""What holds for the breaker whatever happens, in whatever order, at whatever time."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from llm_pool.dispatch.breaker import CONSECUTIVE, PROBES, SPANNING, SUCCESSES, Rules
from tests.dispatch.test_breaker import Bench

if TYPE_CHECKING:
    from llm_pool.dispatch.breaker import Verdict

# Small ones, so that every rule comes into play within a few calls.
RULES = st.builds(
    Rules,
    fail_rate=st.sampled_from([0.1, 0.5, 1.0]),
    window_size=st.integers(3, 12),
    window_seconds=st.sampled_from([2.0, 30.0]),
    min_calls=st.integers(1, 3),
    cooldown=st.sampled_from([1.0, 5.0]),
    longest=st.sampled_from([5.0, 30.0]),
)
VERDICT: st.SearchStrategy[Verdict] = st.sampled_from(["success", "failure", "neutral"])
WAITS = st.sampled_from([0.0, 0.3, 1.0, 4.0, 31.0])

Step: TypeAlias = "tuple[str, float, int, Verdict]"  # what, after so many seconds, to which of those under way
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin"] * 4 + ["end"] * 4 + ["panic", "open"] + ["close"] * 2),
        WAITS,
        st.integers(0, 50),
        VERDICT,
    ),
    max_size=40,
)
LEGAL = {
    ("closed", "open"),
    ("open", "half_open"),
    ("half_open", "open"),
    ("half_open", "closed"),
    ("open", "closed"),  # by hand, or in panic
}


class Story(Bench):
    """Plays steps and looks after each."""

    def __init__(self, rules: Rules, seed: int) -> None:
        super().__init__(rules, random=Random(seed))
        self.under_way: list[tuple[int, bool]] = []  # permit, whether it is a probe's
        self.state_told = "closed"

    def play(self, steps: list[Step]) -> None:
        for what, after, which, verdict in steps:
            self.at += after
            match what:
                case "begin" | "panic":
                    self.ask(panic=what == "panic")
                case "end" if self.under_way:
                    permit, _ = self.under_way.pop(which % len(self.under_way))
                    self.breaker.ended(permit, verdict)
                case "end":
                    pass
                case _:
                    getattr(self.breaker, what)()
            self.look()

    def ask(self, *, panic: bool) -> None:
        breaker = self.breaker
        state, admits = breaker.state, breaker.admits()
        assert admits == (breaker.opens_in() == 0.0)
        permit = breaker.begin(panic=panic)
        assert (permit is not None) == (admits or panic)
        if permit is not None:
            self.under_way.append((permit, state == "half_open" and admits))

    def look(self) -> None:
        assert all(change in LEGAL for change in self.told)
        assert all(one[1] == other[0] for one, other in zip(self.told, self.told[1:], strict=False))
        probes = [permit for permit, probe in self.under_way if probe]
        assert all(probes.count(permit) <= PROBES for permit in probes)
        shown = self.breaker.snapshot()
        calls, failed = shown["calls"], shown["failed"]
        assert isinstance(calls, int)
        assert isinstance(failed, int)
        assert 0 <= failed <= calls <= self.breaker.rules.window_size
        assert self.breaker.opens_in() <= self.breaker.rules.longest


@given(RULES, STEPS, st.integers())
def test_at_most_three_probes_and_only_legal_changes(rules: Rules, steps: list[Step], seed: int) -> None:
    Story(rules, seed).play(steps)


@given(RULES, STEPS, st.integers(), VERDICT)
def test_it_can_always_close_again(rules: Rules, steps: list[Step], seed: int, verdict: Verdict) -> None:
    """Once nobody holds it and every call has ended, however it did: time and successes close it."""
    story = Story(rules, seed)
    story.play(steps)
    if story.breaker.held:
        story.breaker.close()
    for permit, _ in story.under_way:
        story.breaker.ended(permit, verdict)
    story.at += rules.longest + 1.0
    for _ in range(SUCCESSES):
        story.calls("n" * (PROBES + 1))
        story.calls("s")
    assert story.breaker.closed


@given(RULES, STEPS, st.integers())
def test_without_a_failure_it_opens_by_hand_only(rules: Rules, steps: list[Step], seed: int) -> None:
    tame = [(what, after, which, verdict) for what, after, which, verdict in steps if verdict != "failure"]
    story = Story(rules, seed)
    story.play([step for step in tame if step[0] != "open"])
    assert story.breaker.closed


@given(RULES, st.lists(st.tuples(WAITS, VERDICT), max_size=30))
def test_it_opens_exactly_when_the_rules_say_so(rules: Rules, calls: list[tuple[float, Verdict]]) -> None:
    """Against the rules told the slow way."""
    bench = Bench(rules)
    ended: list[tuple[float, bool]] = []
    for after, verdict in calls:
        bench.at += after
        bench.breaker.ended(bench.begin(), verdict)
        if verdict != "neutral":
            ended.append((bench.at, verdict == "failure"))
        opens = verdict == "failure" and (_in_a_row(ended) or _too_many(ended, rules, bench.at))
        assert bench.breaker.closed == (not opens)
        if opens:
            return


def _too_many(ended: list[tuple[float, bool]], rules: Rules, now: float) -> bool:
    window = [failed for at, failed in ended[-rules.window_size :] if at >= now - rules.window_seconds]
    return len(window) >= rules.min_calls and sum(window) / len(window) >= rules.fail_rate


def _in_a_row(ended: list[tuple[float, bool]]) -> bool:
    row: list[float] = []
    for at, failed in ended:
        row = [*row, at] if failed else []
    return len(row) >= CONSECUTIVE and row[-1] - row[0] >= SPANNING


@given(RULES, STEPS, st.integers(), st.lists(VERDICT, max_size=8))
def test_what_was_begun_before_it_opened_changes_nothing_after(
    rules: Rules, steps: list[Step], seed: int, verdicts: list[Verdict]
) -> None:
    story = Story(rules, seed)
    story.breaker.close()
    old = [story.begin() for _ in verdicts]
    story.breaker.open()
    story.breaker.close()
    story.under_way.clear()
    story.play(steps)
    before, told = story.breaker.snapshot(), len(story.told)
    for permit, verdict in zip(old, verdicts, strict=True):
        story.breaker.ended(permit, verdict)
    assert (story.breaker.snapshot(), len(story.told)) == (before, told)
