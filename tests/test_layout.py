"""What holds for every file: short, and its first line says what it is for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

# What only these may import, by the folder below llm_pool: import-linter knows packages, not their modules.
ONLY_EDGES = {"grpc", "google", "aiohttp.web"}
EDGES = {"edges", "v1", "client"}

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


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.is_relative_to(ROOT / "llm_pool")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_only_the_edges_know_grpc_and_the_http_server(path: Path) -> None:
    if path.relative_to(ROOT / "llm_pool").parts[0] in EDGES:
        return
    names = {alias.name for node in ast.walk(ast.parse(path.read_text())) for alias in _imported(node)}

    assert not {name for name in names for only in ONLY_EDGES if f"{name}.".startswith(f"{only}.")}


def _imported(node: ast.AST) -> list[ast.alias]:
    match node:
        case ast.Import():
            return node.names
        case ast.ImportFrom(level=0, module=str(module)):
            return [ast.alias(module), *(ast.alias(f"{module}.{each.name}") for each in node.names)]
        case _:
            return []
