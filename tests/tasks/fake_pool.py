"""A pool that knows the labels, in a thread of its own: what it says of itself, and answers that a test may spoil."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from benchmarks.tasks.examples import TASKS, Example, of_task
from tests.tasks import oracle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Answering = Callable[[Example], str | None]  # None: it fails

EXAMPLES = {example.prompt: example for task in TASKS for example in of_task(task)}
HEALTHY = {"builtin": ("healthy", ["builtin/extractive"]), "gemma": ("unhealthy", ["ollama/gemma2:9b"])}


@dataclass
class FakePool:
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    answering: Answering = oracle.content
    providers: dict[str, tuple[str, list[str]]] = field(default_factory=lambda: dict(HEALTHY))
    hold_after: int | None = None  # questions after which it is silent, until it ends
    holding: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def health(self) -> Any:
        return {"providers": {name: {"state": state, "models": own} for name, (state, own) in self.providers.items()}}

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.asked.append(body)
        if self.hold_after is not None and len(self.asked) > self.hold_after:
            self.holding.set()
            self.over.wait(20)
        content = self.answering(EXAMPLES[body["prompt"]])
        if content is None:
            return 503, {"error": {"code": "NO_PROVIDER", "message": "nobody is there"}}
        decision = {"degraded": "model" not in body}
        return 200, {"content": content, "winner_model": "builtin/extractive", "decision": decision}


@contextlib.contextmanager
def fake_pool(**changed: Any) -> Iterator[FakePool]:
    """It listens for the length of the block."""
    pool = FakePool(**changed)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, pool.health())

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            self._say(*pool.answer(json.loads(self.rfile.read(length))))

        def log_message(self, *_: object) -> None:
            """Nothing."""

        def _say(self, status: int, value: Any) -> None:
            body = json.dumps(value).encode()
            with contextlib.suppress(OSError):  # the caller left
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        pool.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield pool
        finally:
            pool.over.set()
            server.shutdown()
            thread.join()
