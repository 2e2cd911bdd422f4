"""A provider is opened once, kept as long as a configuration uses one of its makings, and closed exactly once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.dispatch.kept import Kept, Made
from tests.scripted import Scripted
from tests.virtual import VirtualLoop

if TYPE_CHECKING:
    from types import TracebackType


class Counted(Scripted):
    """Notes how often it was opened and closed; either may take a second, or fail."""

    def __init__(self, *, slow: bool = False, opens: bool = True, closes: bool = True) -> None:
        super().__init__()
        self.lives: list[str] = []
        self._slow = slow
        self._opens = opens
        self._closes = closes

    async def __aenter__(self) -> Self:
        if self._slow:
            await asyncio.sleep(1)
        if not self._opens:
            raise OSError("cannot be opened")
        self.lives.append("open")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lives.append("closed")
        if not self._closes:
            raise OSError("cannot be closed")


def made(**providers: Counted) -> dict[str, Made]:
    """By name, each of the makings `1`."""
    return {name: Made("1", provider) for name, provider in providers.items()}


async def test_equal_makings_are_one_provider_until_nobody_uses_it() -> None:
    first, second = Counted(), Counted()
    async with Kept() as kept:
        before, after = made(a=first), made(a=second)
        assert await kept.take(before) == {"a": first}
        assert await kept.take(after) == {"a": first}
        await kept.drop(before)
        assert first.lives == ["open"]
        await kept.drop(after)
        assert first.lives == ["open", "closed"]
    assert first.lives == ["open", "closed"]
    assert second.lives == []


@pytest.mark.parametrize("other", [("a", "2"), ("b", "1")], ids=["makings", "name"])
async def test_other_makings_or_another_name_are_another_provider(other: tuple[str, str]) -> None:
    first, second = Counted(), Counted()
    name, makings = other
    async with Kept() as kept:
        before, after = {"a": Made("1", first)}, {name: Made(makings, second)}
        await kept.take(before)
        assert await kept.take(after) == {name: second}
        await kept.drop(before)
        assert (first.lives, second.lives) == (["open", "closed"], ["open"])
    assert second.lives == ["open", "closed"]


async def test_what_was_closed_is_opened_anew() -> None:
    first, second = Counted(), Counted()
    async with Kept() as kept:
        await kept.take(made(a=first))
        await kept.drop(made(a=first))
        assert await kept.take(made(a=second)) == {"a": second}
    assert first.lives == second.lives == ["open", "closed"]


async def test_where_one_cannot_be_opened_none_of_them_is_taken() -> None:
    shared, new, last = Counted(), Counted(), Counted()
    async with Kept() as kept:
        await kept.take(made(shared=shared))
        with pytest.raises(OSError, match="cannot be opened"):
            await kept.take(made(shared=Counted(), new=new, bad=Counted(opens=False), last=last))
        assert (shared.lives, new.lives, last.lives) == (["open"], ["open", "closed"], [])
        await kept.drop(made(shared=shared))
        assert shared.lives == ["open", "closed"]


@pytest.mark.parametrize("after", [0.0, 0.5, 1.5, 2.5])
async def test_who_leaves_while_they_are_opened_leaves_none_open(after: float) -> None:
    several = {name: Counted(slow=True) for name in "abc"}
    async with Kept() as kept:
        taking = asyncio.create_task(kept.take(made(**several)))
        await asyncio.sleep(after)
        taking.cancel()
        await asyncio.wait({taking})
        assert taking.cancelled()
        for each in several.values():
            assert each.lives in ([], ["open", "closed"])
        assert kept._open == {}


async def test_one_that_cannot_be_closed_keeps_no_other_one_open() -> None:
    bad, good = Counted(closes=False), Counted()
    async with Kept() as kept:
        await kept.take(made(bad=bad, good=good, worse=(worse := Counted(closes=False))))
        with pytest.raises(OSError, match="cannot be closed"):
            await kept.drop(made(bad=bad, good=good, worse=worse))
        assert bad.lives == good.lives == worse.lives == ["open", "closed"]
        await kept.take(made(bad=Counted(), good=Counted()))  # they are forgotten, and come anew


async def test_at_its_end_what_is_still_open_is_closed_whatever_fails() -> None:
    several = [Counted(), Counted(closes=False), Counted()]
    with pytest.raises(OSError, match="cannot be closed"):
        async with Kept() as kept:
            await kept.take(made(a=several[0], b=several[1], c=several[2]))
    assert [each.lives for each in several] == [["open", "closed"]] * 3


@given(
    st.lists(st.tuples(st.dictionaries(st.sampled_from("abc"), st.sampled_from("12")), st.integers(0, 3)), max_size=12)
)
def test_whatever_follows_each_is_opened_once_and_closed_once(story: list[tuple[dict[str, str], int]]) -> None:
    """Configurations come, and some of those before end, in any order; the newest is always whole and open."""
    everyone: list[Counted] = []

    def new() -> Counted:
        everyone.append(Counted())
        return everyone[-1]

    async def play() -> None:
        async with Kept() as kept:
            live: list[dict[str, Made]] = []
            for tables, which in story:
                wanted = {name: Made(makings, new()) for name, makings in tables.items()}
                taken = await kept.take(wanted)
                live.append(wanted)
                assert taken.keys() == wanted.keys()
                if len(live) > 1 and which < len(live) - 1:
                    await kept.drop(live.pop(which))
                used = {(name, each.of) for wanted in live for name, each in wanted.items()}
                assert kept._open.keys() == used
                for provider in taken.values():
                    assert isinstance(provider, Counted)
                    assert provider.lives == ["open"]
        assert all(each.lives in ([], ["open", "closed"]) for each in everyone)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play())
