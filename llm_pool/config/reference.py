"""Write the reference of every key: `python -m llm_pool.config.reference > docs/configuration.md`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic_core import PydanticUndefined

from llm_pool.config.environment import CONFIG, KNOWN_NAMES, OLLAMA_API_KEY, OLLAMA_HOST, overridable, variable_of
from llm_pool.config.fields import choices, keys_of, pending, plain, sections, table_of
from llm_pool.config.prompts import BUILT_IN
from llm_pool.config.settings import ACTIVE_STRATEGIES, STRATEGIES, TaskTable
from llm_pool.config.tables import KEYS, ProviderTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything"}


def markdown() -> str:
    """The reference of every key, as Markdown."""
    parts = [_HEAD]
    for name, table in sections().items():
        parts.append(f"## [{name}]\n\n{table.__doc__}\n")
        parts.append(_rows(name, table, with_variables=True))
    parts.append(f"## [tasks.NAME]\n\n{_TASKS}")
    parts.append(_rows("tasks", TaskTable, with_variables=False))
    parts.append(f"## [[providers]]\n\n{_PROVIDERS}")
    parts.append(_rows("providers", ProviderTable, with_variables=False))
    for key, field in keys_of(ProviderTable).items():
        if inner := table_of(field):
            parts.append(f"### [providers.{key}]\n\n{inner.__doc__}\n")
            parts.append(_rows("providers", inner, with_variables=False))
    parts.append(_environment())
    return "\n".join(parts)


def _rows(section: str, table: type[BaseModel], *, with_variables: bool) -> str:
    variable = " environment |" if with_variables else ""
    lines = [f"| key | type | default | meaning |{variable}", f"|---|---|---|---|{'---|' if with_variables else ''}"]
    for key, field in _flat(table):
        meaning = _cell(field.description or "")
        if pending(section, key):
            meaning += " *(not active yet)*"
        named = f" {f'`{variable_of(section, key)}`' if overridable(field) else ''} |" if with_variables else ""
        lines.append(f"| `{key}` | {_cell(_type(field))} | {_cell(_default(field))} | {meaning} |{named}")
    return "\n".join(lines) + "\n"


def _flat(table: type[BaseModel], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """The keys of a table; of a table within a `sim` table in dotted form, so that it needs no heading of its own."""
    for key, field in keys_of(table).items():
        inner = table_of(field)
        if inner and get_origin(plain(field.annotation)) is list:
            yield above + key, field
        elif inner and table is not ProviderTable:
            yield from _flat(inner, f"{above}{key}.")
        elif not inner:
            yield above + key, field


def _type(field: FieldInfo) -> str:
    if words := choices(field):
        return " or ".join(f'`"{word}"`' for word in words)
    kind = plain(field.annotation)
    if get_origin(kind) is list:
        return "list of tables" if table_of(field) else "list of texts"
    if get_origin(kind) is dict:
        return "table" if get_args(kind)[1] is Any else "table of texts"
    return _WORDS[kind] + _range(field)


def _range(field: FieldInfo) -> str:
    """` 1 to 86400000`, from the limits that the field or its type declares."""
    limits: dict[str, Any] = {}
    for held in [field.metadata, *(getattr(one, "__metadata__", ()) for one in get_args(field.annotation))]:
        for entry in held:
            for one in (entry, *getattr(entry, "metadata", ())):
                limits |= {name: getattr(one, name) for name in ("ge", "gt", "le") if hasattr(one, name)}
    low = f"above {limits['gt']}" if "gt" in limits else str(limits.get("ge", ""))
    match low, str(limits.get("le", "")):
        case "", "":
            return ""
        case _, "":
            return f", {low}" + ("" if "gt" in limits else " or more")
        case _, high:
            return f", {low} to {high}"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "*required*"
    return "" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _environment() -> str:
    lines = [_ENVIRONMENT, "| variable | sets | |", "|---|---|---|"]
    lines += [f"| `{CONFIG}` | the file to load | where the command line names none |"]
    lines += [f"| `{name}` | `{'.'.join(known.path)}` | {known.note} |" for name, known in KNOWN_NAMES.items()]
    lines += [
        f"| `{OLLAMA_HOST}` | `base_url` | of each `ollama` provider without one: `host:port`, `http://host` ... |",
        f"| `{OLLAMA_API_KEY}` | `api_key` | of each `ollama` provider without one |",
        *(
            f"| `{key.removeprefix('env:')}` | `api_key` | of each `{driver}` provider with no key and no base_url |"
            for driver, key in KEYS.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


_HEAD = f"""# Configuration

*Generated by `python -m llm_pool.config.reference`; change `llm_pool/config/settings.py`, not this page.*

The pool reads one file, `llm-pool.toml`: the one that `--config` or `{CONFIG}` names, else the one in the
current directory, else the one it came with, which is a good one to copy. `llm-pool check-config` checks it and shows
each value with its origin. A key that does not exist is an error that names its line and the nearest key that does.

While the pool runs it follows the file and its prompts. A sound change is applied at once: requests under way end as
they began, and providers that it does not concern stay as they are. Any other change is refused whole, told in the log
and as `config_error` in `/health`, and the configuration before it stays. What stands in [server], [auth] and
[telemetry] takes effect after a restart, which the log says.

A secret is never written into the file, only where it is: `env:NAME` or `file:PATH`. A relative path begins at the
directory that the pool was started in. The file must hold the secret alone, at most 64 KB, and must not be readable
by every user of the machine, unless it lies under `/run/secrets` or `/var/run/secrets`.

Strategies: {_listed(STRATEGIES)}.
Built so far: {_listed(ACTIVE_STRATEGIES)}; until another is built, `fastest` answers in its place and says so.
"""

_TASKS = f"""What can be asked for. {_listed(tuple(BUILT_IN))}
are always there; a table changes what it names of one of them, and a table with another name makes a task of your own.
[tasks.md](tasks.md) shows how a prompt file is written, and how each of the seven is asked. These tables are set in
the file only.
"""

_PROVIDERS = """One table for each deployment: a model, or several, at one address. Callers ask for it as
`<provider>/<model>`. These tables are set in the file only. A key without a default may be left out, unless it is
required; `model` or `models` must be given.
"""

_ENVIRONMENT = """## Environment

Every key of a section can be set as `LLM_POOL_<SECTION>_<KEY>`, shown in the tables above; a list is separated by
commas. It wins over the names below, which are the ones that people know from elsewhere, and both win over the file.
An empty variable counts as unset.
"""

if __name__ == "__main__":
    sys.stdout.write(markdown())
