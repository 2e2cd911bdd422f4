"""`llm-pool chat`: a conversation in the terminal, or one question a line from a pipe.

Each question sends the whole conversation and streams its answer. What was answered stays in it; a question whose
answer failed does not, so that the next one is not asked on top of it. An answer stopped by Ctrl-C stays as far as
it came. Nothing is written to disk.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from llm_pool.cli import codes
from llm_pool.cli.ask import spoken
from llm_pool.cli.calling import called
from llm_pool.cli.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_pool.cli.output import Screen
    from llm_pool.client import Client

HELP = """\
/help         this
/clear        forget the conversation, begin a new one
/model NAME   let NAME answer from now on; without NAME the pool decides again
/quit         leave (so do Ctrl-C and Ctrl-D at the prompt)
Ctrl-C while an answer comes stops that answer. A line that begins with a
space is a question even where a slash follows."""


class Chat:
    def __init__(
        self,
        url: str,
        screen: Screen,
        *,
        task: str,
        model: str | None = None,
        system: str | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self._url = url
        self._screen = screen
        self._task = task
        self._model = model
        self._max_tokens = max_tokens
        self._beginning = [{"role": "system", "content": system}] if system else []
        self._said: list[dict[str, str]] = []  # the conversation so far, without the system message

    def run(self) -> int:
        """Until the end of the input. Gives 0 at a terminal, else the code of the last answer that failed."""
        talking = sys.stdin is not None and sys.stdin.isatty()
        if talking:
            self._screen.note(f"talking to {self._url}; /help tells more, Ctrl-D leaves")
        code = codes.OK
        for line in _lines(self._screen) if talking else _piped():
            if line.startswith("/"):
                if not self._command(line):
                    break
            elif line.strip():
                code = self._answer(line.strip()) or code
        return codes.OK if talking else code

    def _command(self, line: str) -> bool:
        """Obey. Gives whether the conversation goes on."""
        name, _, rest = line.partition(" ")
        match name, rest.strip():
            case (("/quit" | "/exit"), ""):
                return False
            case "/clear", "":
                self._said = []
                self._screen.note("a new conversation")
            case "/model", model:
                self._model = model or None
                self._screen.note(f"{model} answers from now on" if model else "the pool decides who answers")
            case "/help", _:
                self._screen.line(HELP)
            case _:
                self._screen.fail(f"no such command: {line}", "/help lists them")
        return True

    def _answer(self, question: str) -> int:
        """Ask, and print what comes. Keeps what was said where there is something to go on from."""
        asked = {"role": "user", "content": question}
        said: list[str] = []
        try:
            code = called(self._url, self._screen, partial(self._asked, asked=asked, said=said))
        except KeyboardInterrupt:
            self._screen.note("stopped; what was said so far stays" if said else "stopped")
            code = codes.OK
            if not said:
                return code
        if code == codes.OK:
            self._said += [asked, {"role": "assistant", "content": "".join(said)}]
        return code

    async def _asked(self, client: Client, *, asked: dict[str, str], said: list[str]) -> int:
        messages = [*self._beginning, *self._said, asked]
        async with (
            Waiting(client, self._screen, task=self._task, model=self._model) as waiting,
            client.stream(task=self._task, model=self._model, messages=messages, max_tokens=self._max_tokens) as events,
        ):
            answer = await spoken(events, waiting, self._screen, said)
        self._screen.about(answer)
        return codes.OK


def _lines(screen: Screen) -> Iterator[str]:
    """What a person types, with the editing of readline where there is one."""
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415 - importing it is what gives `input` its editing
    while True:
        try:
            yield input("> " if screen.out_terminal else "")
        except UnicodeDecodeError:
            screen.fail("that line is not UTF-8 text")
        except (EOFError, KeyboardInterrupt):
            if screen.out_terminal:
                screen.write("\n")
            return


def _piped() -> Iterator[str]:
    if sys.stdin is None:
        return
    for raw in sys.stdin.buffer:
        yield raw.decode(errors="replace").rstrip("\r\n")
