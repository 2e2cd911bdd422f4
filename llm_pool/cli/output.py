"""Standard output for what was asked for, standard error for what is said about it. Terminals and pipes differ.

What models and servers write never reaches a terminal raw: a control character could change its title, its colours or
what was printed before.
"""

from __future__ import annotations

import io
import json
import re
import sys
from functools import cached_property
from typing import TYPE_CHECKING

from llm_pool.cli import codes
from llm_pool.core.outcome import OK

if TYPE_CHECKING:
    from rich.console import Console

    from llm_pool.client import Answer, ClientError

REFUSING = frozenset({400, 401, 403, 404, 405, 413, 415, 422})  # statuses: asking again as it is would not help

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # of C0 all but tab, newline and return; DEL; C1


def clean(text: str) -> str:
    """Fit for a terminal, also piece by piece: without its ESC an escape sequence is plain text."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r", ""))


class Screen:
    """The standard streams as they are when it is made."""

    def __init__(self, *, verbose: bool = False, quiet: bool = False) -> None:
        self.verbose = verbose
        self.quiet = quiet
        self.out_terminal = sys.stdout.isatty()
        self.err_terminal = sys.stderr.isatty()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # half a character, or one that the terminal does not have

    @cached_property
    def err(self) -> Console:
        """Standard error, by rich: it knows NO_COLOR and TERM=dumb, and breaks lines between words."""
        from rich.console import Console  # noqa: PLC0415 - only where something is said

        return Console(stderr=True, highlight=False, markup=False, emoji=False)

    @property
    def animated(self) -> bool:
        """Whether a line that changes may be shown."""
        return self.err_terminal and not self.quiet and not self.err.is_dumb_terminal

    def write(self, text: str) -> None:
        """A piece of what was asked for, at once. Raises OSError where nobody takes it."""
        sys.stdout.write(clean(text) if self.out_terminal else text)
        sys.stdout.flush()

    def line(self, text: str) -> None:
        self.write(text if text.endswith("\n") else f"{text}\n")

    def json(self, value: object, *, indent: int | None = None) -> None:
        self.line(json.dumps(value, ensure_ascii=False, indent=indent))

    def content(self, text: str) -> None:
        """A whole answer. JSON is laid out for people, and left as it is for programs."""
        self.line(_laid_out(text) if self.out_terminal else text)

    def calls(self, answer: Answer) -> None:
        """What the model asks the caller to call, a line each."""
        for call in answer.tool_calls:
            self.line(f"{call.name}({call.arguments})".replace("\n", " "))

    def note(self, text: str) -> None:
        """Something worth knowing, for people."""
        if not self.quiet and (self.err_terminal or self.verbose):
            self._say(text, "dim")

    def warn(self, text: str) -> None:
        """Something that matters, wherever standard error goes."""
        if not self.quiet:
            self._say(text, "yellow")

    def fail(self, text: str, hint: str = "") -> None:
        """What went wrong: one line."""
        self._say(f"llm-pool: {text}" + (f"; {hint}" if hint else ""), "")

    def failed(self, error: ClientError) -> int:
        """Tell an error of the pool. Gives the exit code."""
        from llm_pool.client import Unreachable  # noqa: PLC0415 - known to whoever has such an error

        if isinstance(error, Unreachable):
            self.fail(error.message, "is it running? start it with: llm-pool serve")
            return codes.UNREACHABLE
        if error.status in REFUSING:
            self.fail(error.message)
            return codes.REFUSED
        told = [error.code, *(f"{name}: {what}" for name, what in error.details.items())]
        if error.request_id:
            told.append(f"request {error.request_id}")
        hint = f"try again in {error.retry_after:g} s" if error.retry_after is not None else ""
        self.fail(f"{error.message} ({', '.join(told)})", hint)
        return codes.FAILED

    def about(self, answer: Answer) -> None:
        """Who answered, how fast, and what was not as it should be."""
        told = [answer.winner_model, f"{answer.duration_ms / 1000:.1f} s", _tokens(answer)]
        if answer.from_cache:
            told.append("from the cache")
        if answer.finish_reason not in {"stop", "length", ""}:
            told.append(f"ended by {answer.finish_reason}")
        self.note(", ".join(told))
        if answer.finish_reason == "length":
            self.warn("cut off: --max-tokens allows more")
        decision = answer.decision
        if decision.degraded:
            failed = [
                f"{voice.provider}: {voice.why or voice.outcome}" for voice in decision.voices if voice.outcome != OK
            ]
            self.warn(
                f"degraded: answered by {answer.winner_model}, for no other could ("
                + ("; ".join(failed) or "see: llm-pool models list")
                + ")"
            )
        elif decision.why:
            self.note(decision.why)
        for warning in decision.warnings:
            self.warn(f"warning: {warning.message} ({warning.code})")

    def _say(self, text: str, style: str) -> None:
        line = clean(text).replace("\n", " ")
        sys.stdout.flush()
        if self.err_terminal:
            self.err.print(line, style=style or None, overflow="fold")
        else:
            print(line, file=sys.stderr, flush=True)


def _tokens(answer: Answer) -> str:
    count = answer.usage.output
    return f"{'about ' if answer.usage.estimated else ''}{count} token{'' if count == 1 else 's'}"


def _laid_out(text: str) -> str:
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
