"""The command line. Importing this package imports no command: `python -m llm_pool` is quick, and so is Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_pool import process

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; without arguments, the one that this process was called with."""
    return process.ended(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    from llm_pool.cli.app import run  # noqa: PLC0415 - inside, so that Ctrl-C during the imports leaves no traceback

    return run(arguments)
