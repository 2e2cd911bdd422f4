"""What of a request is not sent as it was asked, gathered while its body is written."""

from __future__ import annotations

from llm_pool.core.types import Warning


class Notes:
    """Each thing is said once."""

    __slots__ = ("_said", "who")

    def __init__(self, who: str) -> None:
        self.who = who
        self._said: dict[str, Warning] = {}

    def ignored(self, parameter: str, why: str) -> None:
        """A parameter that is left out or changed, and why."""
        self._said.setdefault(parameter, Warning("parameter_ignored", f"{parameter}: {self.who} {why}"))

    def say(self, code: str, what: str) -> None:
        self._said.setdefault(code, Warning(code, f"{self.who} {what}"))

    def all(self) -> tuple[Warning, ...]:
        return tuple(self._said.values())
