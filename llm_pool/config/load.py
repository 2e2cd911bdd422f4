"""Load `llm-pool.toml` and its prompts, lay the environment over it, and say for every value where it came from.

A plain function that reads a few files: the watcher calls it in a thread, off the event loop.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from llm_pool.config import environment
from llm_pool.config.catalog import task_names
from llm_pool.config.fields import has_free_keys, keys_of, pending, sections, table_of, values_of
from llm_pool.config.locate import lines
from llm_pool.config.problems import ConfigError, Sources, problems_of
from llm_pool.config.prompts import BUILT_IN, FOLDER, Prompt, file_of, parsed
from llm_pool.config.schemas import NoSchema, spec_of
from llm_pool.config.settings import ACTIVE_STRATEGIES, Settings
from llm_pool.config.toml import decoded
from llm_pool.config.toml import parsed as toml
from llm_pool.core.errors import UnknownTask, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import BaseModel

    from llm_pool.config.locate import KeyPath

__all__ = ["ConfigError", "Loaded", "choose", "load"]

FILE = "llm-pool.toml"
MOST_BYTES = 256 * 1024

# In an installed wheel the default file lies inside the package, in a checkout beside it.
_PACKAGE = Path(__file__).parents[1]
PACKAGED = (_PACKAGE / FILE, _PACKAGE.parent / FILE)
PACKAGED_PROMPTS = (_PACKAGE / FOLDER, _PACKAGE.parent / FOLDER)


@dataclass(frozen=True, slots=True)
class Loaded:
    """One configuration, checked, with its provenance."""

    settings: Settings
    prompts: Mapping[str, Prompt]  # by task
    path: Path  # absolute
    files: tuple[Path, ...]  # all that it was read from
    folder: Path  # where prompts beside the file lie, or would lie
    version: str  # the first 12 hex digits of a SHA-256 over the file and the prompts
    origins: Mapping[str, str]  # "server.http_addr" -> "default" | "llm-pool.toml:12" | "environment NAME"
    pending: tuple[tuple[str, str], ...]  # keys that somebody set and that are not active yet, with their origin
    ignored: tuple[str, ...]  # environment variables that begin with LLM_POOL_ and are not ours

    def keeping(self, sections: Mapping[str, BaseModel]) -> Loaded:
        """The same but for these sections."""
        return replace(self, settings=self.settings.model_copy(update=dict(sections)))


def load(path: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Load this file; without one LLM_POOL_CONFIG, ./llm-pool.toml or the packaged default. Raises ConfigError."""
    chosen, named_by = choose(path, environ)
    content = _read(chosen, named_by)
    name = shown(chosen.name)
    text = decoded(content, name)
    raw = toml(text, name)
    found = environment.read(environ, raw.get("providers"))
    sources = Sources(name, lines(text), found.variables, _names(raw.get("providers")))
    problems: tuple[str, ...] = ()
    try:
        settings = Settings.model_validate(_overlaid(raw, found.values))
    except ValidationError as error:
        problems = problems_of(error.errors(include_url=False), sources)
    if problems := problems + found.problems:
        raise ConfigError(*problems)
    _refuse_schemas(settings, sources)
    _refuse_tasks(settings, sources)
    home = chosen.absolute().parent
    try:
        files = _prompt_files(settings, home, sources)
    except OSError as error:  # such as a folder that we may not look into
        why = error.strerror or "unknown reason"
        raise ConfigError(f"{_called(Path(error.filename), home)}: cannot be read: {why}") from None
    contents = {task: _read(file) for task, file in files.items()}
    origins = tuple(_origins(settings, sources))
    return Loaded(
        settings=settings,
        prompts={task: parsed(contents[task], _called(file, home)) for task, file in files.items()},
        path=chosen.absolute(),
        files=(chosen.absolute(), *files.values()),
        folder=home / FOLDER,
        version=_version(content, contents),
        origins=MappingProxyType({sources.dotted(path): origin for path, origin in origins}),
        pending=tuple((sources.dotted(path), origin) for path, origin in origins if _waits(path, origin, settings)),
        ignored=found.ignored,
    )


def _prompt_files(settings: Settings, home: Path, sources: Sources) -> dict[str, Path]:
    """The prompt file of each task that has one. Raises ConfigError for one that is named and is not there."""
    files: dict[str, Path] = {}
    for task in sorted(task_names(settings).union(BUILT_IN)):
        table = settings.tasks.get(task)
        if table is None or table.prompt is None:
            if file := file_of(task, [home / FOLDER, *PACKAGED_PROMPTS]):
                files[task] = file
            continue
        if not table.prompt:
            continue
        files[task] = home / table.prompt
        if not files[task].is_file():
            where = sources.where(("tasks", task, "prompt"))
            raise ConfigError(f"{where}: tasks.{task}.prompt: {shown(table.prompt, 200)}: no such file")
    return files


def _refuse_schemas(settings: Settings, sources: Sources) -> None:
    for task, table in settings.tasks.items():
        try:
            spec_of(table.answer or {})
        except NoSchema as error:
            at = ("tasks", task, "schema", *error.at)
            raise ConfigError(f"{sources.where(at)}: {sources.dotted(at)}: {error}") from None


def _refuse_tasks(settings: Settings, sources: Sources) -> None:
    """Aliases of tasks that are not there."""
    tasks = task_names(settings).union(BUILT_IN)
    for alias, model in settings.models.aliases.items():
        prefix, _, task = model.partition("/")
        if prefix == "task" and task not in tasks:
            where = sources.where(("models", "aliases", alias))
            raise ConfigError(f"{where}: models.aliases: {UnknownTask('task', task, tasks).message}")


def _called(file: Path, home: Path) -> str:
    """How messages call a file: as seen from the configuration where it lies below it."""
    return shown(str(file.relative_to(home) if file.is_relative_to(home) else file), 200)


def _version(content: bytes, prompts: Mapping[str, bytes]) -> str:
    total = hashlib.sha256(content)
    for task, prompt in sorted(prompts.items()):
        total.update(b"\0%b\0%d\0" % (task.encode(), len(prompt)))
        total.update(prompt)
    return total.hexdigest()[:12]


def choose(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    here: Path = Path(),
    packaged: Sequence[Path] = PACKAGED,
) -> tuple[Path, str]:
    """The file to load, and the variable that named it ("" where none did)."""
    if path is not None:
        return path, ""
    if named := environ.get(environment.CONFIG, "").strip():
        return here / named, environment.CONFIG
    for candidate in (here / FILE, *packaged):
        if candidate.is_file():
            return candidate, ""
    raise ConfigError(f"no {FILE} in this directory; name the file with --config or {environment.CONFIG}")


def _read(path: Path, named_by: str = "") -> bytes:
    start = f"environment {named_by}: " if named_by else ""
    start += shown(str(path), 200)
    try:
        if not path.exists():
            raise ConfigError(f"{start}: no such file")
        if not path.is_file():  # a pipe would block, a directory cannot be read
            raise ConfigError(f"{start}: is not a file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{start}: cannot be read: {error.strerror or 'unknown reason'}") from None
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{start}: larger than {MOST_BYTES // 1024} KB")
    return content


def _overlaid(raw: dict[str, Any], values: Mapping[KeyPath, object]) -> dict[str, Any]:
    """The file's tables with the environment's values. What is no table stays, for the validation to say so."""
    result = dict(raw)
    if isinstance(raw.get("providers"), list):
        result["providers"] = [dict(table) if isinstance(table, dict) else table for table in raw["providers"]]
    copied = set()
    for (section, *rest), value in values.items():
        if section != "providers" and section not in copied:
            table = result.get(str(section), {})
            result[str(section)] = dict(table) if isinstance(table, dict) else table
            copied.add(section)
        table = result[str(section)]
        for part in rest[:-1]:
            table = table[part]
        if isinstance(table, dict):
            table[rest[-1]] = value
    return result


def _names(providers: object) -> tuple[str | None, ...]:
    tables = providers if isinstance(providers, list) else []
    names = [table.get("name") if isinstance(table, dict) else None for table in tables]
    return tuple(name if isinstance(name, str) else None for name in names)


def _origins(settings: Settings, sources: Sources) -> Iterator[tuple[KeyPath, str]]:
    for section in sections():
        yield from _table_origins(getattr(settings, section), (section,), sources)
    for name, task in settings.tasks.items():
        yield from _table_origins(task, ("tasks", name), sources)
    for index, table in enumerate(settings.providers):
        yield from _table_origins(table, ("providers", index), sources)


def _table_origins(table: BaseModel, above: KeyPath, sources: Sources) -> Iterator[tuple[KeyPath, str]]:
    values = values_of(table)
    for key, field in keys_of(type(table)).items():
        path: KeyPath = (*above, key)
        value = values[key]
        if table_of(field) and not isinstance(value, list):
            yield from _table_origins(value, path, sources)
        elif has_free_keys(field) and value:
            yield from (((*path, name), sources.where((*path, name))) for name in value)
        else:
            yield path, sources.where(path) if sources.is_set(path) else "default"


def _waits(path: KeyPath, origin: str, settings: Settings) -> bool:
    """Whether somebody set this key although nothing obeys it yet: see PENDING, and strategies that are not built."""
    if origin == "default":
        return False
    match path:
        case ("ensemble", "default_strategy"):
            return settings.ensemble.default_strategy not in ACTIVE_STRATEGIES
        case ("ensemble", "strategy_by_task", str(task)):
            return settings.ensemble.strategy_by_task[task] not in ACTIVE_STRATEGIES
        case ("tasks", str(task), "strategy"):
            return settings.tasks[task].strategy not in ACTIVE_STRATEGIES
        case ("providers", int(), str(key)) | (str(), str(key)):
            return pending(str(path[0]), key)
        case _:
            return False
