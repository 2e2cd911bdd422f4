"""`llm-pool models pull`: fetch models into Ollama, through its official client.

A server gets its own key and no other: the official client would send OLLAMA_API_KEY to any.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol, Self

import httpx
import ollama

from llm_pool.cli import codes
from llm_pool.cli.environment import merged
from llm_pool.config.environment import OLLAMA_API_KEY, OLLAMA_HOST, OLLAMA_URL, ollama_url
from llm_pool.config.load import ConfigError, load
from llm_pool.core.errors import StartRefused, shown
from llm_pool.providers.ollama.models import canonical
from llm_pool.secrets.references import SecretError, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.progress import Progress, TaskID

    from llm_pool.cli.output import Screen
    from llm_pool.config.tables import ProviderTable

CONNECT_WITHIN = 5.0  # seconds; a pull itself may be silent for minutes, while it checks what it has fetched


@dataclass(frozen=True, slots=True)
class Server:
    """One Ollama, and the models that the configuration wants of it."""

    url: str
    key: str | None = field(repr=False)
    models: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Shows(Protocol):
    """Where a pull stands."""

    def __call__(self, name: str, progress: ollama.ProgressResponse) -> None: ...


def pull(names: Sequence[str], screen: Screen, *, host: str | None, config: Path | None, env_file: Path | None) -> int:
    """These models, or all of the configuration that are missing. Gives the exit code: of the first that failed."""
    try:
        environ = merged(env_file)
        servers = _servers(names, host=host, config=config, environ=environ)
    except (ConfigError, StartRefused, SecretError) as error:
        screen.fail(str(error))
        return codes.REFUSED
    code = codes.OK
    for server in servers:
        code = code or _pull_all(server, names, screen)
    return code


def _servers(
    names: Sequence[str], *, host: str | None, config: Path | None, environ: Mapping[str, str]
) -> list[Server]:
    """Whom to ask. Raises ConfigError, StartRefused, SecretError."""
    named, by = (host, "--host") if host else (environ.get(OLLAMA_HOST, "").strip(), OLLAMA_HOST)
    try:
        url = ollama_url(named) if named else ""
    except ValueError as error:
        raise StartRefused(f"{by}: {error}") from None
    if url and names:
        return [Server(url, environ.get(OLLAMA_API_KEY))]
    tables = [table for table in load(config, environ).settings.providers if table.driver == "ollama"]
    if host:
        models = tuple(dict.fromkeys(model for table in tables for model in _models(table)))
        return [Server(url, environ.get(OLLAMA_API_KEY), models)]
    servers: dict[str, Server] = {}
    for table in tables:
        address = table.base_url or OLLAMA_URL
        before = servers.get(address, Server(address, None))
        key = resolve(table.api_key, environ) if table.api_key else before.key
        models = tuple(dict.fromkeys([*before.models, *_models(table)]))
        servers[address] = Server(address, key, models, {**before.headers, **table.extra_headers})
    if not names and not any(server.models for server in servers.values()):
        raise StartRefused("the configuration names no model of Ollama; name one: llm-pool models pull NAME")
    if names and len(servers) > 1:
        raise StartRefused(f"several Ollama servers are configured, say which: --host {' or '.join(servers)}")
    return list(servers.values()) or [Server(OLLAMA_URL, None)]


def _models(table: ProviderTable) -> Iterator[str]:
    return (model for model in table.served if model != "*")


def _pull_all(server: Server, names: Sequence[str], screen: Screen) -> int:
    client = ollama.Client(
        server.url,
        headers=dict(server.headers),
        auth=partial(_credential, said=_authorization(server)),
        follow_redirects=False,
        trust_env=False,
        timeout=httpx.Timeout(None, connect=CONNECT_WITHIN),
    )
    try:
        with client:
            wanted = [name.removeprefix("ollama/") for name in names] or _missing(client, server, screen)
            for name in wanted:
                _pull(client, name, screen)
    except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout):
        screen.fail(
            f"no Ollama answers at {server.url}",
            "start it with: ollama serve (get it from https://ollama.com/download)",
        )
        return codes.UNREACHABLE
    except httpx.HTTPError:
        screen.fail(f"the connection to {server.url} broke", "pull again: it goes on where it was")
        return codes.FAILED
    except ollama.ResponseError as error:
        screen.fail(f"Ollama at {server.url} says: {shown(str(error.error), 200)}")
        return codes.FAILED
    except (ValueError, TypeError, AttributeError):  # what its client makes of an answer that is not Ollama's
        screen.fail(f"what answers at {server.url} is no Ollama")
        return codes.UNREACHABLE
    return codes.OK


def _authorization(server: Server) -> str:
    """What this server is to be told, which may be nothing."""
    if server.key:
        return f"Bearer {server.key}"
    return next((text for name, text in server.headers.items() if name.lower() == "authorization"), "")


def _credential(request: httpx.Request, *, said: str) -> httpx.Request:
    request.headers.pop("authorization", None)
    if said:
        request.headers["authorization"] = said
    return request


def _missing(client: ollama.Client, server: Server, screen: Screen) -> list[str]:
    installed = {canonical(one.model) for one in client.list().models if one.model}
    missing = []
    for name in server.models:
        if canonical(name) in installed:
            screen.line(f"{name}: is there already")
        else:
            missing.append(name)
    return missing


def _pull(client: ollama.Client, name: str, screen: Screen) -> None:
    """Raises what the official client raises, and the like of it where its answer ends before its end."""
    last = None
    with _shown(screen) as show:
        for progress in client.pull(name, stream=True):
            show(name, progress)
            last = progress.status
    if last != "success":
        raise httpx.RemoteProtocolError("it ended before it was complete")
    screen.line(f"{name}: pulled")


def _shown(screen: Screen) -> AbstractContextManager[Shows]:
    if screen.quiet:
        return nullcontext(lambda _name, _progress: None)
    return _Bars(screen) if screen.animated else nullcontext(_Lines(screen))


class _Lines:
    """A line for each thing that it does."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._told = ""

    def __call__(self, name: str, progress: ollama.ProgressResponse) -> None:
        status = progress.status or ""
        if status not in {self._told, "success"}:
            size = f" ({progress.total / 1e9:.1f} GB)" if progress.total else ""
            self._screen.warn(f"{name}: {status}{size}")
            self._told = status


class _Bars(AbstractContextManager["_Bars"]):
    """A bar for each layer, and above them what it does."""

    def __init__(self, screen: Screen) -> None:
        from rich import progress as bars  # noqa: PLC0415 - only at a terminal

        self._progress: Progress = bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(bar_width=24),
            bars.DownloadColumn(),
            bars.TimeRemainingColumn(compact=True),
            console=screen.err,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, name: str, progress: ollama.ProgressResponse) -> None:
        what = shown((progress.digest or progress.status or "").removeprefix("sha256:"), 28)
        if not progress.digest:
            if not progress.total and what != "success":
                self._progress.console.print(f"{shown(name, 40)}: {what}", style="dim")
            return
        task = self._tasks.get(what)
        if task is None:
            task = self._tasks[what] = self._progress.add_task(what[:12], total=progress.total)
        self._progress.update(task, completed=progress.completed or 0, total=progress.total)
