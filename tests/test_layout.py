"""What holds for every file: short, and its first line says what it is for."""

from __future__ import annotations

import ast
from pathlib import Path

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


def test_files_are_short_and_say_what_they_are_for() -> None:
    """A file that wants to grow wants to be two, and its first line says what it is for."""
    wrong = []
    for path in FILES:
        text = path.read_text()
        if len(text.splitlines()) > LINES or (text.strip() and not ast.get_docstring(ast.parse(text))):
            wrong.append(str(path.relative_to(ROOT)))
    assert wrong == []


def test_only_the_edges_know_grpc_and_the_http_server() -> None:
    wrong = []
    for path in FILES:
        if not path.is_relative_to(ROOT / "llm_pool") or path.relative_to(ROOT / "llm_pool").parts[0] in EDGES:
            continue
        names = {alias.name for node in ast.walk(ast.parse(path.read_text())) for alias in _imported(node)}
        known = {name for name in names for only in ONLY_EDGES if f"{name}.".startswith(f"{only}.")}
        wrong += [f"{path.relative_to(ROOT)}: {name}" for name in sorted(known)]
    assert wrong == []


def _imported(node: ast.AST) -> list[ast.alias]:
    match node:
        case ast.Import():
            return node.names
        case ast.ImportFrom(level=0, module=str(module)):
            return [ast.alias(module), *(ast.alias(f"{module}.{each.name}") for each in node.names)]
        case _:
            return []
