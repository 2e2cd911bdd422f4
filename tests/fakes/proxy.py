"""A proxy that spoils what passes it: late, dripping, cut, reset, corrupted, never, or something else altogether.

    async with FaultProxy(fake.url, seed=1) as proxy:
        proxy.fault = Cut(at=17)
        ...  # something talks to proxy.url
        assert proxy.open == 0

It passes on HTTP/1.1 with kept connections, or any protocol in which one side asks and the other answers. A fault is
chosen for each request when all of it is there, so that what is set meanwhile counts from the next one on. Sockets are
bare, for a transport would neither reset a connection nor end it at a certain byte.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import zlib
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Self, TypeAlias, assert_never
from urllib.parse import urlsplit

from llm_pool.core.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

PIECE = 64 * 1024  # bytes
ABORTED = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time; closing then resets the connection
BACKLOG = 128  # connections that may wait to be accepted


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds `before` the request goes on to the target, and before the `first` byte of its answer comes back."""

    before: float = 0.0
    first: float = 0.0


@dataclass(frozen=True, slots=True)
class Drip:
    """The answer from byte `at` on comes one byte in `every` seconds."""

    every: float
    at: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """After `at` bytes of the answer, head included, the connection ends (FIN). 0: the target is not even asked."""

    at: int


@dataclass(frozen=True, slots=True)
class Reset:
    """After `at` bytes of the answer the connection is reset (RST). `reused`: only one that has served before."""

    at: int = 0
    reused: bool = False


@dataclass(frozen=True, slots=True)
class Corrupt:
    """One byte of the answer, drawn among `among` of them from `at` on, comes with other bits."""

    at: int = 0
    among: int = 1


@dataclass(frozen=True, slots=True)
class Hold:
    """The request is taken, and nothing is ever said."""


@dataclass(frozen=True, slots=True)
class Replace:
    """This instead of the answer, for which the target is not asked. `endless`: its body again and again."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    endless: bool = False

    @classmethod
    def bomb(cls, mebibytes: int, *, hidden: bool = False) -> Self:
        """Zeros, gzipped to a thousandth of them; `hidden`: without a word about that."""
        squeeze, zeros = zlib.compressobj(wbits=31), bytes(1 << 20)
        first = squeeze.compress(zeros) + squeeze.flush(zlib.Z_FULL_FLUSH)
        again = squeeze.compress(zeros) + squeeze.flush(zlib.Z_FULL_FLUSH)  # leans on nothing before it
        body = first + again * (mebibytes - 1) + squeeze.flush()[:2]
        return cls(200, body, {} if hidden else {"Content-Encoding": "gzip"})

    def head(self) -> bytes:
        length = {"Connection": "close"} if self.endless else {"Content-Length": str(len(self.body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**self.headers, **length}.items())
        return f"HTTP/1.1 {self.status} Replaced\r\n{lines}\r\n".encode()


Fault: TypeAlias = Delay | Drip | Cut | Reset | Corrupt | Hold | Replace


class FaultProxy:
    """`fault` is what becomes of every request whose first line contains `only`, or of a seeded `share` of them.

    `script` comes before it: what becomes of the next of these requests, one fault each. All may be set at any time.
    """

    def __init__(self, target_url: str, *, seed: int = 0) -> None:
        parts = urlsplit(target_url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._address = ("127.0.0.1", 0)
        self._random = Random(seed)
        self._open: set[socket.socket] = set()
        self.fault: Fault | None = None
        self.only = b""
        self.share = 1.0
        self.script: deque[Fault | None] = deque()

        self.ever = 0  # connections there were
        self.asked: list[bytes] = []  # the first line of each request
        self.spoiled = 0  # requests that a fault was chosen for

    @property
    def open(self) -> int:
        """Connections of clients now. Each has one to the target at most, which ends with it."""
        return len(self._open)

    @property
    def url(self) -> str:
        return f"http://{self._address[0]}:{self._address[1]}"

    async def __aenter__(self) -> Self:
        self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Nobody listens meanwhile, and who was connected is thrown out."""
        await self._leave()
        try:
            yield
        finally:
            self._listen()

    def asked_for(self, path: bytes) -> int:
        """How many requests named it."""
        return sum(path in line for line in self.asked)

    def _listen(self) -> None:
        self._listener = socket.create_server(self._address, backlog=BACKLOG)
        self._listener.setblocking(False)
        self._address = self._listener.getsockname()
        self._tasks = Tasks()
        self._tasks.start(self._accept(), name="fault proxy")

    async def _leave(self) -> None:
        await self._tasks.__aexit__(None, None, None)
        self._listener.close()
        while self._open:  # a task that is cancelled before it has begun closes nothing
            self._open.pop().close()

    async def _accept(self) -> None:
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            self._open.add(client)
            self.ever += 1
            self._tasks.start(self._serve(client), name="fault proxy: a connection")

    async def _serve(self, client: socket.socket) -> None:
        """Both directions at once; where one ends, all does."""
        with client, socket.socket() as target:
            link = _Link(client, target, random=self._random)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(_to_the_end(self._ask(link)))
                    both.create_task(_to_the_end(link.answer()))
            except* OSError:
                pass  # one side has gone
            finally:
                if link.resets:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTED)
                self._open.discard(client)

    async def _ask(self, link: _Link) -> None:
        """Take one request after the other to the target, or to what has been made of it."""
        while request := await link.request():
            link.begin(self._chosen(request, link))
            match link.fault:
                case Hold():
                    while await link.request():
                        pass
                case Replace() as other:
                    await link.say(other)
                case Cut(at=0) | Reset(at=0):
                    link.cut()
                    return
                case Delay(before=seconds):
                    await asyncio.sleep(seconds)
                    await link.forward(request, self._target)
                case None | Drip() | Cut() | Reset() | Corrupt():
                    await link.forward(request, self._target)
                case _:
                    assert_never(link.fault)

    def _chosen(self, request: bytes, link: _Link) -> Fault | None:
        line = request.partition(b"\r\n")[0]
        self.asked.append(line)
        if self.only not in line:
            return None
        fault = self.script.popleft() if self.script else self.fault
        if isinstance(fault, Reset) and fault.reused and not link.requests:
            return None
        if fault is None or self._random.random() >= self.share:
            return None
        self.spoiled += 1
        return fault


async def _to_the_end(half: Coroutine[None, None, None]) -> None:
    """Raises OSError in any case: whoever ends ends both."""
    await half
    raise ConnectionAbortedError


class _Link:
    """The connection of a client, and the one to the target behind it. Raises OSError where one of them breaks."""

    def __init__(self, client: socket.socket, target: socket.socket, *, random: Random) -> None:
        for each in (client, target):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # no delay but those of the faults
        self.client = client
        self.target = target
        self.requests = 0  # that have come
        self.fault: Fault | None = None
        self.resets = False  # how it ends
        self._random = random
        self._sent = 0  # bytes of the answer under way
        self._spoilt = -1  # which of them is to come with other bits
        self._connected = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def request(self) -> bytes:
        """The next one, of HTTP with its body; of anything else, what comes at once. Empty: the client has gone."""
        request = await self._loop.sock_recv(self.client, PIECE)
        head, _, body = request.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *([0-9]+)", head, re.IGNORECASE)
        missing = int(length[1]) - len(body) if length else 0
        while missing > 0 and (more := await self._loop.sock_recv(self.client, PIECE)):
            request += more
            missing -= len(more)
        return request

    def begin(self, fault: Fault | None) -> None:
        self.fault = fault
        self.requests += 1
        self._sent = 0
        if isinstance(fault, Corrupt):
            self._spoilt = fault.at + self._random.randrange(fault.among)

    async def forward(self, request: bytes, target: tuple[str, int]) -> None:
        if not self._connected.is_set():
            await self._loop.sock_connect(self.target, target)
            self._connected.set()
        await self._loop.sock_sendall(self.target, request)

    async def say(self, other: Replace) -> None:
        await self._loop.sock_sendall(self.client, other.head() + other.body)
        while other.endless:
            await self._loop.sock_sendall(self.client, other.body)

    async def answer(self) -> None:
        """Take to the client what the target says, spoilt as it is to be, until that or the target ends it."""
        await self._connected.wait()
        while data := await self._loop.sock_recv(self.target, PIECE):
            match self.fault:
                case Delay(first=seconds) if not self._sent:
                    await asyncio.sleep(seconds)
                    await self._send(data)
                case Drip(every=seconds, at=start):
                    at_once = max(0, start - self._sent)
                    await self._send(data[:at_once])
                    for byte in data[at_once:]:
                        await self._send(bytes([byte]))
                        await asyncio.sleep(seconds)
                case Cut(at=end) | Reset(at=end):
                    await self._send(data[: end - self._sent])
                    if self._sent == end:
                        self.cut()
                        return
                case Corrupt():
                    await self._send(self._corrupted(data))
                case None | Delay() | Hold() | Replace():
                    await self._send(data)
                case _:
                    assert_never(self.fault)

    def cut(self) -> None:
        """Who calls this returns, and that ends both sides."""
        self.resets = isinstance(self.fault, Reset)

    def _corrupted(self, data: bytes) -> bytes:
        place = self._spoilt - self._sent
        if not 0 <= place < len(data):
            return data
        return data[:place] + bytes([data[place] ^ self._random.randrange(1, 256)]) + data[place + 1 :]

    async def _send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.client, data)
        self._sent += len(data)
