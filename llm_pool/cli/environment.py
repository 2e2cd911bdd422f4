"""`--env-file`: variables from a file, for those names that the environment does not have already."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llm_pool.core.errors import StartRefused

if TYPE_CHECKING:
    from pathlib import Path


def merged(env_file: Path | None) -> dict[str, str]:
    """The environment with what the file adds to it. Raises StartRefused."""
    if env_file is None:
        return dict(os.environ)
    from dotenv import dotenv_values  # noqa: PLC0415 - only where it is asked for

    try:
        if not env_file.exists():
            raise StartRefused(f"{env_file}: no such file")
        if not env_file.is_file():
            raise StartRefused(f"{env_file}: is not a file")
        given = dotenv_values(env_file, interpolate=False)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise StartRefused(f"{env_file}: cannot be read: {why}") from None
    return {**{name: value for name, value in given.items() if value is not None}, **os.environ}
