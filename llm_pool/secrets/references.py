"""Resolve a reference to a secret: `env:NAME` or `file:PATH`. No message ever holds the secret.

Rules for a file: a regular one of at most 64 KB, UTF-8, without control characters except one newline at its end, and
not open to every user of the machine. Readable by its group is accepted. The one exception is what lies under
/run/secrets or /var/run/secrets: Docker and Kubernetes mount secrets there as 0444 inside a container of its own. A
secret that Kubernetes mounts elsewhere needs `defaultMode: 0440`. A relative path begins at the working directory.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from llm_pool.core.errors import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES = 64 * 1024
MOUNTED_SECRETS = (Path("/run/secrets"), Path("/var/run/secrets"))

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class SecretError(ValueError):
    """A secret cannot be had. One line that names the reference."""


def resolve(reference: str, environ: Mapping[str, str]) -> str:
    """The secret that this reference names. Raises SecretError."""
    kind, _, rest = reference.partition(":")
    if kind == "env" and rest:
        secret = environ.get(rest, "")
        missing = "is not set" if rest not in environ else "is empty"
    elif kind == "file" and rest:
        secret = _read(Path(rest), reference)
        missing = "is empty"
    else:  # not shown: it may be the secret itself
        raise SecretError("a secret must be given as env:NAME or file:PATH")
    if not secret:
        raise SecretError(f"{shown(reference, 200)}: {missing}")
    if _CONTROL.search(secret):
        raise SecretError(f"{shown(reference, 200)}: holds a control character, such as a second line")
    return secret


def open_to_others(mode: int, path: Path) -> bool:
    """Whether users who are neither owner nor group may read or replace it, where that matters. `path`: resolved."""
    mounted = any(path.is_relative_to(directory) for directory in MOUNTED_SECRETS)
    return bool(mode & stat.S_IWOTH) or (bool(mode & stat.S_IROTH) and not mounted)


def _read(path: Path, reference: str) -> str:
    named = shown(reference, 200)
    try:
        # Opened first and asked afterwards, so that the file asked about is the file read; a pipe must not block.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SecretError(f"{named}: is not a file")
            if os.name == "posix" and open_to_others(status.st_mode, path.resolve()):
                raise SecretError(f"{named}: every user of this machine may read it; chmod 600 it")
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SecretError(f"{named}: cannot be read: {error.strerror or 'unknown reason'}") from None
    except ValueError as error:
        if isinstance(error, SecretError):
            raise
        raise SecretError(f"{named}: is not a file name") from None
    if len(content) > MOST_BYTES:
        raise SecretError(f"{named}: larger than {MOST_BYTES // 1024} KB")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise SecretError(f"{named}: is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")
