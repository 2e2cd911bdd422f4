"""Settings from the environment: `LLM_POOL_<SECTION>_<KEY>`, and the names that people know from elsewhere.

`LLM_POOL_*` wins over the known names, and both win over the file. An empty variable counts as unset. What begins
with LLM_POOL_ and names none of our sections is left alone: Kubernetes sets LLM_POOL_PORT and its like in every
container beside a service called `llm-pool`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_origin

from llm_pool.config.fields import has_free_keys, keys_of, plain, sections
from llm_pool.config.problems import no_such_key, value_shown
from llm_pool.config.tables import URLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic.fields import FieldInfo

    from llm_pool.config.locate import KeyPath

PREFIX = "LLM_POOL_"
CONFIG = "LLM_POOL_CONFIG"  # names the file, where the command line does not
OLLAMA_HOST = "OLLAMA_HOST"
OLLAMA_API_KEY = "OLLAMA_API_KEY"
URL = "LLM_POOL_URL"  # the command line's, which asks a pool
OLLAMA_URL = URLS["ollama"]

# What Kubernetes and Docker links add for a service named `llm-pool-server`, `llm-pool-cache`, ...
_INJECTED = re.compile(r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_INJECTED_ADDRESS = re.compile(r"(tcp|udp|sctp)://")

_LEVELS = {"warn": "warning", "critical": "error", "fatal": "error", "trace": "debug"}


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment sets: values and the variable of each by path, what is wrong, and what is not ours."""

    values: Mapping[KeyPath, object]
    variables: Mapping[KeyPath, str]
    problems: tuple[str, ...]
    ignored: tuple[str, ...]


def read(environ: Mapping[str, str], providers: object = None) -> Environment:
    """Read the environment. `providers`: the `[[providers]]` of the file as TOML gives them, unchecked."""
    variables: dict[KeyPath, str] = {}
    problems: list[str] = []
    ignored = []
    for name in sorted(name for name in environ if name.startswith(PREFIX) and name not in {CONFIG, URL}):
        match _target(name, environ[name]):
            case None:
                ignored.append(name)
            case _ if not environ[name].strip():
                pass
            case str(problem):
                problems.append(f"environment {name}: {problem}")
            case path:
                variables[path] = name
    for name, known in KNOWN_NAMES.items():
        if environ.get(name, "").strip():
            variables.setdefault(known.path, name)
    values: dict[KeyPath, object] = {}
    for path, name in variables.items():
        text = environ[name].strip()
        try:
            values[path] = KNOWN_NAMES[name].value(text) if name in KNOWN_NAMES else _value(_field(path), text)
        except ValueError as error:
            problems.append(f"environment {name}: {'.'.join(map(str, path))}: {error}")
    for path, name, value in _ollama(environ, providers, problems):
        values[path] = value
        variables[path] = name
    return Environment(values, variables, tuple(problems), tuple(ignored))


def variable_of(section: str, key: str) -> str:
    return f"{PREFIX}{section}_{key}".upper()


def overridable(field: FieldInfo) -> bool:
    """A table of free keys cannot be written as one variable."""
    return not has_free_keys(field)


def _target(name: str, value: str) -> KeyPath | str | None:
    """The path that a variable names; what is wrong with it; None where it is not ours."""
    rest = name.removeprefix(PREFIX)
    if rest.startswith(("PROVIDERS_", "TASKS_")):
        if _injected(rest, value):
            return None
        return f"{'[[providers]]' if rest.startswith('P') else '[tasks.NAME]'} are set in the file only"
    for section, table in sections().items():
        if not rest.startswith(f"{section.upper()}_"):
            continue
        key = rest[len(section) + 1 :].lower()
        if key in keys_of(table):
            settable = overridable(keys_of(table)[key])
            return (section, key) if settable else f"{section}.{key} is a table, set in the file only"
        if _injected(rest, value):
            return None
        known = {other for other, field in keys_of(table).items() if overridable(field)}
        return no_such_key(known, key, f"[{section}]")
    return None


def _injected(rest: str, value: str) -> bool:
    return bool(_INJECTED.fullmatch(rest) or (rest.endswith("_PORT") and _INJECTED_ADDRESS.match(value)))


def _field(path: KeyPath) -> FieldInfo:
    section, key = path
    return keys_of(sections()[str(section)])[str(key)]


def _value(field: FieldInfo, text: str) -> object:
    """The text as the key's declared type. Raises ValueError; ranges and words are checked with the file's."""
    kind: Any = plain(field.annotation)
    if get_origin(kind) is list:
        return [item.strip() for item in text.split(",") if item.strip()]
    if kind is bool:
        return _boolean(text)
    if kind is int:
        return _whole(text)
    if kind is float:
        return _number(text)
    return text


def _boolean(text: str) -> bool:
    if text.lower() in {"true", "1"}:
        return True
    if text.lower() in {"false", "0"}:
        return False
    raise ValueError(f"must be true or false{value_shown(text)}")


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError(f"must be a whole number{value_shown(text)}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"must be a number{value_shown(text)}") from None


def _milliseconds(text: str) -> int:
    """Seconds, fractional or not, as milliseconds."""
    if not re.fullmatch(r"\+?([0-9]{1,12}(\.[0-9]*)?|\.[0-9]+)", text):
        raise ValueError(f"must be a number of seconds{value_shown(text)}")
    return round(float(text) * 1000)


def _level(text: str) -> str:
    return _LEVELS.get(text.lower(), text.lower())


@dataclass(frozen=True, slots=True)
class Known:
    path: tuple[str, str]
    value: Callable[[str], object]
    note: str = ""


KNOWN_NAMES: Mapping[str, Known] = {
    "MAX_CONCURRENT_REQUESTS": Known(("qos", "max_concurrent_requests"), _whole),
    "REQUEST_TIMEOUT": Known(("qos", "default_deadline_ms"), _milliseconds, "in seconds, such as 30 or 2.5"),
    "MAX_RETRIES": Known(("qos", "max_retries"), _whole),
    "LOG_LEVEL": Known(("telemetry", "log_level"), _level, "upper case and WARN are accepted"),
}


def _ollama(
    environ: Mapping[str, str], providers: object, problems: list[str]
) -> Iterator[tuple[KeyPath, str, object]]:
    """What Ollama's own variables say to the ollama tables that do not say it themselves."""
    tables = providers if isinstance(providers, list) else []
    ours = [(i, table) for i, table in enumerate(tables) if isinstance(table, dict) and table.get("driver") == "ollama"]
    host = environ.get(OLLAMA_HOST, "").strip().strip("\"'")
    if host and any("base_url" not in table for _, table in ours):
        try:
            url = ollama_url(host)
        except ValueError as error:
            problems.append(f"environment {OLLAMA_HOST}: {error}")
        else:
            yield from (
                (("providers", i, "base_url"), OLLAMA_HOST, url) for i, table in ours if "base_url" not in table
            )
    if environ.get(OLLAMA_API_KEY, "").strip():
        reference = f"env:{OLLAMA_API_KEY}"
        for i, table in ours:
            # Ollama's own key is for the server that Ollama's own variable names, and for nobody else's.
            if "api_key" not in table and "base_url" not in table:
                yield ("providers", i, "api_key"), OLLAMA_API_KEY, reference


def ollama_url(host: str) -> str:
    """OLLAMA_HOST as a URL, read as Ollama's own client reads it: `host`, `host:port`, `:port`, `http://host:port`.

    Without a scheme the port is 11434; `http://` and `https://` without a port mean 80 and 443. The addresses that a
    server listens on everywhere (0.0.0.0, [::]) are called on loopback. Raises ValueError, which never shows the text:
    it may hold a password.
    """
    scheme, found, rest = host.strip().partition("://")
    if not found:
        scheme, rest = "http", scheme
    authority, slash, path = rest.partition("/")
    if re.fullmatch(r"[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", authority):
        authority = f"[{authority}]"  # Ollama takes a bare IPv6 address
    match = re.fullmatch(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)(:(?P<port>[0-9]{1,5}))?", authority)
    if scheme not in {"http", "https"} or not match or re.search(r"[\s?#]", path) or int(match["port"] or 0) > 65535:  # noqa: PLR2004
        raise ValueError("must look like host, host:port, :port or http://host:port")
    port = match["port"] or ("11434" if not found else "80" if scheme == "http" else "443")
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(match["host"], match["host"])  # noqa: S104
    return f"{scheme}://{name}:{port}" + (f"/{path.strip('/')}" if slash and path.strip("/") else "")
