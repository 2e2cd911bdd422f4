"""Which event loop a test runs on, and that it leaves nothing running there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import uvloop
from hypothesis import settings

from tests.virtual import VirtualLoop, nothing_left_running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping


# No deadline of milliseconds per example: a busy machine is no bug.
settings.register_profile("quick", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=200)


# Families that take long run when their flag asks for them: marker -> what it adds.
SLOW = {
    "engine": "also against a real inference engine, built once",
    "install": "also build and install the package, as a user does",
    "faults": "also break things for many seconds under load",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for family, what in SLOW.items():
        parser.addoption(f"--{family}", action="store_true", help=what)
    parser.addoption(
        "--thorough", action="store_true", help="also on asyncio's own loop, and with five times the examples"
    )


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("thorough" if config.getoption("--thorough") else "quick")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unasked = [family for family in SLOW if not config.getoption(f"--{family}")]
    slow = [item for item in items if any(item.get_closest_marker(family) for family in unasked)]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Virtual time for every test, but a real loop for one marked `real_time` (on test, class or module)."""
    if not item.get_closest_marker("real_time"):
        return {"virtual": VirtualLoop}
    both = {"asyncio": asyncio.SelectorEventLoop} if config.getoption("--thorough") else {}
    return {"uvloop": uvloop.new_event_loop, **both}


@pytest.fixture(autouse=True)
def _leaves_nothing_running(request: pytest.FixtureRequest) -> None:
    """Take the census around async tests only: to ask for it in a sync one would make a loop for nothing."""
    if pytest_asyncio.is_async_test(request.node):
        request.getfixturevalue("_census")


@pytest_asyncio.fixture
async def _census() -> AsyncIterator[None]:
    """Set up before a test's own fixtures, thus ends after them and counts what they left, too."""
    yield
    await nothing_left_running()
