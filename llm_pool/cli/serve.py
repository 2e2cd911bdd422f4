"""`llm-pool serve`: this process becomes the server, which knows nothing of a command line."""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

import llm_pool
from llm_pool import process
from llm_pool.cli.environment import merged
from llm_pool.core.errors import StartRefused

if TYPE_CHECKING:
    from typing import NoReturn


def serve(config: Path | None, env_file: Path | None) -> NoReturn:
    """Become `python -m llm_pool.serve`. Raises StartRefused."""
    environ = importable(merged(env_file))
    # -P: what lies in the current directory is not to be imported in place of ours.
    command = [sys.executable, "-P", "-m", "llm_pool.serve", *([str(config)] if config is not None else [])]
    process.hold_interrupts()
    try:
        os.execve(sys.executable, command, environ)  # noqa: S606 - our own program, and no shell
    except OSError as error:
        process.allow_interrupts()
        raise StartRefused(f"cannot run {sys.executable}: {(error.strerror or '').lower()}") from None
    except ValueError:
        process.allow_interrupts()
        raise StartRefused(f"{env_file}: holds a name or a value that no environment can hold") from None


def importable(environ: dict[str, str]) -> dict[str, str]:
    """Let the server import this very package where Python found it only beside the script or in this directory.

    That is `python -m llm_pool` in a checkout that is not installed, or where another version of it is.
    """
    found = PathFinder.find_spec("llm_pool", sys.path if sys.flags.safe_path else sys.path[1:])
    if found is not None and found.origin == llm_pool.__file__:
        return environ
    folder = str(Path(str(llm_pool.__file__)).parents[1])
    others = environ.get("PYTHONPATH")
    return {**environ, "PYTHONPATH": os.pathsep.join([folder, *([others] if others else [])])}
