"""What holds for every file: short, and its first line says what it is for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = 400
FILES = sorted(
    path
    for folder in ("llm_pool", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "v1" not in path.relative_to(ROOT).parts
)


def test_there_is_something_to_look_at() -> None:
    assert len(FILES) > 50


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_a_file_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()

    assert len(text.splitlines()) <= LINES, "a file that wants to grow wants to be two"
    if text.strip():
        described = ast.get_docstring(ast.parse(text))
        assert described, "the first line of a file says what it is for"
