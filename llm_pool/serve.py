"""One server process: opens the pool and its edges, says that it is ready, and drains when told to stop."""

from __future__ import annotations

import asyncio
import errno
import gc
import ipaddress
import logging
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from llm_pool import process
from llm_pool.app import Alive
from llm_pool.config.load import ConfigError, load
from llm_pool.config.settings import split_address
from llm_pool.core.errors import StartRefused
from llm_pool.core.tasks import Tasks
from llm_pool.edges.readiness import Lifecycle
from llm_pool.reload import follow
from llm_pool.telemetry.logs import configure, fields
from llm_pool.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from llm_pool.config.load import Loaded
    from llm_pool.config.settings import Settings
    from llm_pool.pool import Pool

log = logging.getLogger(__name__)

YOUNG_OBJECTS = 10_000  # made before the collector looks at the young ones; the default, 700, is ten requests

FIRST_LOOK = 0.2  # seconds that the ready line waits for providers; later ones are `checking`


def serve(loaded: Loaded, environ: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT. Raises StartRefused, with a line to show, where it cannot start."""
    refuse_unsafe(loaded.settings)
    refuse_taken(loaded.settings)
    try:
        configure(loaded.settings.telemetry)
    except OSError as error:
        path, why = loaded.settings.telemetry.log_file, (error.strerror or "").lower()
        raise StartRefused(f"telemetry.log_file {path!r} cannot be written: {why}") from error
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(loaded, environ))


def refuse_unsafe(settings: Settings) -> None:
    """Never let a network in without authentication, unless two switches say so. Raises StartRefused."""
    auth = settings.auth
    beyond = [address for address in _enabled(settings).values() if not _loopback(split_address(address)[0])]
    if beyond and not (auth.mode == "off" and auth.allow_anonymous_network):
        raise StartRefused(
            f"{beyond[0]} is not loopback, and everyone there could call without a credential: bind 127.0.0.1, "
            'or set both auth.mode = "off" and auth.allow_anonymous_network = true'
        )


def refuse_taken(settings: Settings) -> None:
    """Find out early, and in Python, why a port is not to be had: grpc only makes noise. Raises StartRefused."""
    for name, address in _enabled(settings).items():
        host, port = split_address(address)
        try:
            for family, kind, protocol, _, target in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                with socket.socket(family, kind, protocol) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(target)
        except (OSError, UnicodeError) as error:  # UnicodeError: no host name can be so
            raise StartRefused(_unbound(name, address, error)) from error


def _enabled(settings: Settings) -> dict[str, str]:
    """The addresses to listen on, by the edge's name."""
    server = settings.server
    return {
        **({"gRPC": server.grpc_addr} if server.enable_grpc else {}),
        **({"HTTP": server.http_addr} if server.enable_http else {}),
    }


def _loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name: it may mean any address
        return False


class Edge(Protocol):
    address: str

    async def stop(self) -> None: ...

    async def cut(self) -> None: ...


class _Stop:
    """What the signals say. A person at a terminal wants out at once; a supervisor wants callers to notice first."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()  # by Ctrl-C, or by a second signal of either kind
        self.insisted = asyncio.Event()  # by a second signal

    def listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told, number)

    def _told(self, number: signal.Signals) -> None:
        if self.asked.is_set():
            self.insisted.set()
        if number == signal.SIGINT or self.asked.is_set():
            self.hurried.set()
        self.asked.set()


async def _serve(loaded: Loaded, environ: Mapping[str, str]) -> None:
    # Whoever opens an asynchronous generator here closes it: the loop need not keep a book of them, at 1 us for each.
    sys.set_asyncgen_hooks(firstiter=None)
    lifecycle = Lifecycle()
    stop = _Stop()
    stop.listen()
    async with AsyncExitStack() as stack:
        alive = await stack.enter_async_context(Alive(loaded, environ=environ))
        pool = alive.pool
        edges: dict[str, Edge] = {}
        for name, open_edge in _edges(loaded.settings).items():
            try:
                edges[name] = await stack.enter_async_context(open_edge(pool, lifecycle))
            except OSError as error:
                raise StartRefused(_unbound(name, _enabled(loaded.settings)[name], error)) from error
        await pool.health.settled(within=FIRST_LOOK)
        if stop.asked.is_set():  # told to stop before it was ready: nobody has been told to come
            return
        lifecycle.started = True
        # What start-up made stays for ever: the collector need not look at it again. Requests leave no cycles behind
        # them, so it need not look often either.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, 20, 50)
        if loaded.pending:
            log.info("accepted but not active yet", extra=fields(keys=[key for key, _ in loaded.pending]))
        if loaded.ignored:
            log.info("environment variables left alone", extra=fields(names=list(loaded.ignored)))
        if any(not _loopback(split_address(edge.address)[0]) for edge in edges.values()):
            log.warning("everybody who can reach this machine may call: there is no authentication")
        following = await stack.enter_async_context(Tasks())
        following.start(follow(alive, loaded, environ, check=refuse_unsafe), name="watching the configuration")
        announce(loaded, pool, {name: edge.address for name, edge in edges.items()})
        await stop.asked.wait()
        lifecycle.draining = True
        log.info("draining: waiting for what is under way; a second signal ends it at once")
        await _until(stop.hurried, loaded.settings.server.drain_accept_ms / 1000)
        await _drain(list(edges.values()), stop)
    log.info("stopped")


def _edges(settings: Settings) -> dict[str, Callable[[Pool, Lifecycle], AbstractAsyncContextManager[Edge]]]:
    """What is served, and nothing else, is imported."""
    edges: dict[str, Callable[[Pool, Lifecycle], AbstractAsyncContextManager[Edge]]] = {}
    if settings.server.enable_grpc:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what matters of it we say ourselves
        from llm_pool.edges import grpc  # noqa: PLC0415

        edges["gRPC"] = grpc.serve
    if settings.server.enable_http:
        from llm_pool.edges import http  # noqa: PLC0415

        edges["HTTP"] = http.serve
    return edges


def _unbound(name: str, address: str, error: OSError | UnicodeError) -> str:
    """A line for the person who started it. aiohttp and grpc would repeat the address; the number says it all."""
    number = getattr(error, "errno", None)
    if isinstance(error, socket.gaierror) or number is None:
        why = "no such host" if isinstance(error, (socket.gaierror, UnicodeError)) else "the port is taken"
    else:
        why = os.strerror(number).lower()
    hint = "; is another pool running?" if number == errno.EADDRINUSE else ""
    return f"{name} cannot listen on {address}: {why}{hint}"


async def _drain(edges: list[Edge], stop: _Stop) -> None:
    """Let every edge end its work, until a second signal says that it has been long enough."""
    stopping = asyncio.gather(*(edge.stop() for edge in edges))
    insisted = asyncio.create_task(stop.insisted.wait())
    both: set[asyncio.Future[Any]] = {stopping, insisted}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    insisted.cancel()
    if not stopping.done():
        log.warning("ending what is still under way")
        stopping.cancel()
        with suppress(asyncio.CancelledError):
            await stopping
        await asyncio.gather(*(edge.cut() for edge in edges))
    else:
        await stopping


async def _until(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def announce(loaded: Loaded, pool: Pool, addresses: Mapping[str, str]) -> None:
    """The ready line, and something to try."""
    where = ", ".join(f"{name} {address}" for name, address in addresses.items())
    states = ", ".join(f"{name} {health.state}" for name, health in pool.health.all().items())
    lines = [f"llm-pool {__version__} ready: {where} | providers: {states} | config {loaded.path}"]
    if "HTTP" in addresses:
        here = addresses["HTTP"].replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104
        lines.append(
            f"try: curl 'http://{here}/v1/infer' -H 'content-type: application/json' "
            """-d '{"task": "chat", "prompt": "Say hello"}'"""
        )
    try:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
    except OSError as error:  # nobody reads it, or there is no room for it: no reason not to serve
        log.warning("the ready line could not be written", extra=fields(why=error.strerror))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def main(arguments: Sequence[str]) -> int:
    """`python -m llm_pool.serve [FILE]`, what `llm-pool serve` replaces itself with. Gives the exit code."""
    return process.ended(lambda: _main(Path(arguments[0]) if arguments else None))


def _main(path: Path | None) -> int:
    process.allow_interrupts()
    try:
        serve(load(path, os.environ), os.environ)
    except (ConfigError, StartRefused) as error:
        print(f"llm-pool: {error}", file=sys.stderr)  # noqa: T201 - to the person who started it
        return process.REFUSED
    return process.OK


if __name__ == "__main__":
    # Under its own name, too: there is then one module of it, and its log lines say whose they are.
    from llm_pool.serve import main as main_of_serve

    sys.exit(main_of_serve(sys.argv[1:]))
