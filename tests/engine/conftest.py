"""Leave the modules here alone unless --engine asks for them: the clients that they import take a second to load."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ALWAYS = {"__init__.py", "test_building.py"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    unasked = not config.getoption("--engine")
    return True if unasked and collection_path.suffix == ".py" and collection_path.name not in ALWAYS else None
