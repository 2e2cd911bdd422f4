"""`llm-pool check-config` and `llm-pool init`: look at a configuration, and begin one."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from llm_pool.app import providers
from llm_pool.cli import codes
from llm_pool.cli.environment import merged
from llm_pool.config.load import FILE, PACKAGED, ConfigError, load
from llm_pool.config.report import report
from llm_pool.core.errors import StartRefused
from llm_pool.serve import refuse_unsafe

if TYPE_CHECKING:
    from collections.abc import Iterable

PROMPTS = "prompts"  # the folder beside a configuration; in a wheel it lies in the package, in a checkout beside it


def check(path: Path | None, env_file: Path | None) -> int:
    """Everything that `serve` would refuse, short of the ports, is refused here too."""
    try:
        environ = merged(env_file)
        loaded = load(path, environ)
        refuse_unsafe(loaded.settings)
        providers(loaded.settings, environ)
    except (ConfigError, StartRefused) as error:
        for line in error.problems if isinstance(error, ConfigError) else [str(error)]:
            print(f"llm-pool: {line}", file=sys.stderr)
        return codes.REFUSED
    print(report(loaded), flush=True)
    return codes.OK


def init(path: Path, *, prompts: bool, force: bool) -> int:
    """Write the annotated default, and the default prompts beside it: all of them, or nothing where one is there."""
    folder = path.parent / PROMPTS
    copies = {path: _first(PACKAGED)}
    if prompts:
        source = _first(default.with_name(PROMPTS) for default in PACKAGED)
        copies |= {folder / prompt.name: prompt for prompt in sorted(source.glob("*.md"))}
    try:
        _refuse_unless_free(copies, force=force)
        if prompts:
            folder.mkdir(exist_ok=True)
        for target, source in copies.items():
            _copied(source, target)
    except StartRefused as error:
        print(f"llm-pool: {error}", file=sys.stderr)
        return codes.REFUSED
    except OSError as error:
        print(f"llm-pool: {error.filename or path}: {(error.strerror or '').lower()}", file=sys.stderr)
        return codes.REFUSED
    print(f"wrote {path}" + (f", and {len(copies) - 1} prompts into {folder}" if prompts else ""))
    named = "" if path.absolute() == Path(FILE).absolute() else f" --config {shlex.quote(str(path))}"
    print("next: name your models in its [[providers]] tables, then")
    print(f"  llm-pool check-config{named}\n  llm-pool models pull{named}\n  llm-pool serve{named}")
    return codes.OK


def _first(candidates: Iterable[Path]) -> Path:
    for candidate in candidates:
        if candidate.exists():
            return candidate
    raise AssertionError("the package comes with its default configuration and prompts")


def _refuse_unless_free(targets: Iterable[Path], *, force: bool) -> None:
    for target in targets:
        if target.is_dir():
            raise StartRefused(f"{target}: is a folder")
        if not force and os.path.lexists(target):
            raise StartRefused(f"{target}: is there already; --force overwrites it")


def _copied(source: Path, target: Path) -> None:
    """All of it or nothing: whoever watches the folder never sees half a file. A link stays a link."""
    target = target.resolve()
    half = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with half.open("xb") as file:
            file.write(source.read_bytes())
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, half)
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)
