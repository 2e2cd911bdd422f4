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
from llm_pool.config.load import FILE, PACKAGED, PACKAGED_PROMPTS, ConfigError, load
from llm_pool.config.prompts import FOLDER
from llm_pool.config.report import report
from llm_pool.core.errors import StartRefused
from llm_pool.serve import refuse_unsafe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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
    print(report(loaded, environ), flush=True)
    return codes.OK


def init(path: Path, *, prompts: bool, force: bool) -> int:
    """Write the annotated default, and those default prompts that are not beside it yet."""
    wanted = {path: _first(PACKAGED)}
    if prompts:
        source = _first(PACKAGED_PROMPTS)
        wanted |= {path.parent / FOLDER / prompt.name: prompt for prompt in sorted(source.glob("*.md"))}
    target = path
    try:
        copies = wanted if force else _lacking(wanted)
        for target, source in copies.items():
            if target.parent != path.parent:
                target.parent.mkdir(exist_ok=True)
            _copied(source, target)
            print(f"wrote {target}")
    except StartRefused as error:
        print(f"llm-pool: {error}", file=sys.stderr)
        return codes.REFUSED
    except OSError as error:
        print(f"llm-pool: {target}: {(error.strerror or '').lower()}", file=sys.stderr)
        return codes.REFUSED
    named = "" if path.absolute() == Path(FILE).absolute() else f" --config {shlex.quote(str(path))}"
    print("next: name your models in its [[providers]] tables, then")
    print(f"  llm-pool check-config{named}\n  llm-pool models pull{named}\n  llm-pool serve{named}")
    return codes.OK


def _lacking(wanted: Mapping[Path, Path]) -> Mapping[Path, Path]:
    """What is not there yet. Raises StartRefused where nothing is lacking."""
    copies = {target: source for target, source in wanted.items() if not os.path.lexists(target)}
    if not copies:
        raise StartRefused(f"{next(iter(wanted))}: is there already; --force overwrites it")
    return copies


def _first(candidates: Iterable[Path]) -> Path:
    for candidate in candidates:
        if candidate.exists():
            return candidate
    raise AssertionError("the package comes with its default configuration and prompts")


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
