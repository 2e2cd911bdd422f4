"""Show a configuration as `llm-pool check-config` prints it: every value that holds, with where it came from.

A key is shown as its reference and the values of headers not at all, so the report can be pasted into an issue.
"""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

from pydantic import BaseModel

from llm_pool.config.catalog import Catalog
from llm_pool.config.fields import keys_of, values_of
from llm_pool.config.prompts import Prompt
from llm_pool.config.tables import URLS
from llm_pool.core.errors import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llm_pool.config.load import Loaded
    from llm_pool.config.settings import Settings, TaskTable
    from llm_pool.config.tables import ProviderTable

_LIST_WIDTH = 58  # a longer list is broken over lines
_VALUE_WIDTH = 34  # origins are aligned after values up to this wide
_OLLAMA_ONLY = frozenset({"num_ctx", "keep_alive", "preload"})

Row = tuple[str, str, str]  # key, value, origin


def report(loaded: Loaded, environ: Mapping[str, str]) -> str:
    """The whole configuration as text, ending with a newline; `environ` is where the keys are."""
    settings = loaded.settings
    parts = [f"file     {loaded.path}\nversion  {loaded.version}"]
    for section in keys_of():
        if section == "providers":
            parts += [
                _table(f"[[providers]] {table.name}", _provider_rows(table, loaded.origins))
                for table in settings.providers
            ]
        elif section == "tasks":
            parts += [
                _table(f"[tasks.{name}]", _task_rows(table, name, loaded.origins))
                for name, table in settings.tasks.items()
            ]
        else:
            parts.append(_table(f"[{section}]", _rows(getattr(settings, section), section, loaded.origins)))
    parts.append(_tasks(loaded))
    parts += _keyless(settings, environ)
    parts += _pending(loaded)
    if loaded.ignored:
        parts.append("\n  ".join(["environment variables left alone:", *loaded.ignored]))
    return "\n\n".join(parts) + "\n"


def _tasks(loaded: Loaded) -> str:
    """What can be asked for, and who answers."""
    catalog = Catalog.of(loaded.settings, loaded.prompts)
    tasks = catalog.tasks.values()
    nobody = "nobody, unless a model is named" if catalog.wildcards else "nobody"
    width = max(len(task.name) for task in tasks)
    lines = ["tasks:"]
    for task in tasks:
        prompt = loaded.prompts.get(task.name, Prompt())
        who = ", ".join(task.providers) or nobody
        lines.append(f"  {task.name:{width}}  {task.strategy} of {who}  # {prompt.file or 'no prompt'}")
        if prompt.head.description:
            lines.append(f"  {'':{width}}  {shown(prompt.head.description)}")
    return "\n".join(lines)


def _keyless(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """Who is not asked for want of a key, and whether somebody answers instead."""
    missing = [(table.name, variable) for table in settings.providers if (variable := table.missing(environ))]
    if missing:
        width = max(len(name) for name, _ in missing)
        rows = (f"  {name:{width}}  # {variable} is not set" for name, variable in missing)
        yield "\n".join(["without a key, so not asked:", *rows])
    if settings.qos.fallback_unconfigured == "builtin" and not any(
        table.fallback and not table.any_model for table in settings.providers
    ):
        yield 'qos.fallback_unconfigured is "builtin", but no [[providers]] table with models has fallback = true'


def _pending(loaded: Loaded) -> Iterator[str]:
    strategies = [row for row in loaded.pending if row[0].startswith(("ensemble.", "tasks."))]
    others = [row for row in loaded.pending if row not in strategies]
    for heading, rows in (
        ("not active yet:", others),
        ("not active yet: answered by fastest until it is built:", strategies),
    ):
        if rows:
            width = max(len(key) for key, _ in rows)
            yield "\n".join([heading, *(f"  {key:{width}}  # {origin}" for key, origin in rows)])


def _rows(table: BaseModel, above: str, origins: Mapping[str, str], inner: str = "") -> Iterator[Row]:
    for key, value in values_of(table).items():
        dotted = f"{above}.{inner}{key}"
        if dotted in origins:
            if value is not None and value != {}:
                yield inner + key, _shown(value), origins[dotted]
        elif isinstance(value, dict):
            for name, one in value.items():
                text = '"***"' if key == "extra_headers" else _shown(one)
                yield f"{inner}{key}.{shown(name)}", text, origins[f"{dotted}.{shown(name)}"]
        else:
            yield from _rows(value, above, origins, f"{inner}{key}.")


def _task_rows(table: TaskTable, name: str, origins: Mapping[str, str]) -> Iterator[Row]:
    return (row for row in _rows(table, f"tasks.{name}", origins) if row[2] != "default")


def _provider_rows(table: ProviderTable, origins: Mapping[str, str]) -> Iterator[Row]:
    """What is set, and of the defaults those that mean something for this driver."""
    above = f"providers.{table.name}"
    for key, value, origin in _rows(table, above, origins):
        if origin == "default" and (
            (key.startswith("sim.") and table.driver != "sim")
            or (key in _OLLAMA_ONLY and table.driver != "ollama")
            or (key == "connect_timeout_ms" and not table.url)
            or value == "{}"
        ):
            continue
        yield key, value, origin
        if key == "driver" and table.base_url is None and table.driver in URLS:
            yield "base_url", _shown(URLS[table.driver]), "default"
            if table.key and table.api_key is None:
                yield "api_key", _shown(table.key), "default"


def _table(heading: str, rows: Iterator[Row]) -> str:
    kept = list(rows)
    width = max((len(key) for key, _, _ in kept), default=0)
    wide = max((len(value) for _, value, _ in kept if len(value) <= _VALUE_WIDTH), default=0)
    lines = [heading]
    for key, value, origin in kept:
        first, *rest = _broken(value, width + 3)
        if rest:
            lines += [f"{key:{width}} = {first}", *rest[:-1], f"{rest[-1]}  # {origin}"]
        else:
            lines.append(f"{key:{width}} = {first:{wide}}  # {origin}")
    return "\n".join(lines)


def _broken(value: str, indent: int) -> list[str]:
    if not value.startswith("[") or len(value) <= _LIST_WIDTH:
        return [value]
    return textwrap.wrap(
        value,
        width=indent + _LIST_WIDTH,
        initial_indent="",
        subsequent_indent=" " * (indent + 1),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _shown(value: object) -> str:
    """As TOML writes it, near enough to be pasted back."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    return value.model_dump(exclude_none=True) if isinstance(value, BaseModel) else str(value)
