"""What all sections of the configuration have in common: how they are checked, and the kinds of their values."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LARGEST_PORT = 65_535

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Milliseconds = Annotated[int, Field(ge=1, le=86_400_000)]
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Filled = Annotated[str, Field(min_length=1)]


class Conflict(ValueError):
    """Keys that do not go together. `at`: their paths below the table that complains, likeliest culprit first."""

    def __init__(self, message: str, *at: tuple[str | int, ...]) -> None:
        super().__init__(message)
        self.at = at


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
