"""The `[[providers]]` tables: what a deployment is, where it is, and how much of it may be asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from llm_pool.config.base import LARGEST_PORT, Conflict, Filled, Milliseconds, Name, Positive, Section, Share
from llm_pool.core.errors import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

Driver = Literal["ollama", "openai", "openrouter", "anthropic", "builtin", "sim"]

# Where a driver's key is, where its table names neither a key nor an address of its own.
KEYS: dict[str, str] = {
    "openai": "env:OPENAI_API_KEY",
    "openrouter": "env:OPENROUTER_API_KEY",
    "anthropic": "env:ANTHROPIC_API_KEY",
}

# Where a driver's server is, where its table does not say so.
URLS: dict[str, str] = {
    "ollama": "http://127.0.0.1:11434",
    "openai": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "anthropic": "https://api.anthropic.com",
}

RESERVED = {"pool": "strategies", "task": "tasks"}  # first parts of model ids that are no provider's


def known_limit(value: object) -> object:
    """A number of calls, "adaptive", or None. Raises ValueError."""
    if value in {None, "adaptive"} or (type(value) is int and value >= 1):
        return value
    raise ValueError('must be a whole number, 1 or more, or "adaptive"')


class Delay(Section):
    """A distribution of milliseconds: log-normal through its median and 99th percentile (equal: a constant)."""

    median_ms: float = Field(0.0, ge=0, description="median in milliseconds")
    p99_ms: float | None = Field(None, ge=0, description="99th percentile; default: always the median")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.p99_ms is not None and (self.p99_ms < self.median_ms or self.median_ms == 0):
            order = "p99_ms must not be below median_ms, and median_ms must be above 0"
            raise Conflict(order, ("p99_ms",), ("median_ms",))
        return self


class SimCall(Section):
    """A tool call that a simulated model makes."""

    name: Filled = Field(
        description="a tool that is called in place of an answer, where a request offers it; its result is answered"
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="what that tool is called with")


class Sim(Section):
    """The script of a simulated model (`driver = "sim"`)."""

    seed: int = Field(0, description="equal seeds and equal questions give equal answers")
    answers: list[str] = Field(
        default_factory=list,
        description="answers to draw from; empty: say what this is and repeat the question",
    )
    json_schema: dict[str, Any] | None = Field(None, description="answer with JSON that fits this schema")
    tool_calls: list[SimCall] = Field(default_factory=list, description="tools that are called")
    reasoning: str = Field("", description="what it says to think before each answer; empty: nothing")
    dimensions: int = Field(8, ge=1, le=4_096, description="length of its vectors, where a request names none")
    first_token: Delay = Field(Delay(), description="wait before the first word")
    per_token: Delay = Field(Delay(), description="wait between two words")
    load_ms: int = Field(0, ge=0, description="how long the model is `loading` before its first answer")
    fail_rate: Share = Field(0.0, description="share of calls that fail before the first word")
    fail_with: Literal["unreachable", "timeout", "overloaded", "limited", "refused", "misconfigured", "garbled"] = (
        Field("unreachable", description="how they fail")
    )
    break_rate: Share = Field(0.0, description="share of calls that break off after the first word")
    stall_rate: Share = Field(0.0, description="share of calls that never say anything")


class ProviderTable(Section):
    """One `[[providers]]` table: a deployment."""

    name: Name = Field(description="unique; shown in /health")
    driver: Driver = Field(
        description='which wire it speaks: "openai" is that of OpenAI and of every server compatible with it (vLLM, '
        "llama-server, LM Studio and others, by base_url)"
    )
    provider: Name | None = Field(None, description="first part of its public model ids; default: the driver")
    base_url: str | None = Field(None, description="where it listens; default: the driver's usual address")
    model: str | None = Field(None, min_length=1, description="the one model it serves")
    models: list[Filled] | None = Field(None, min_length=1, description='the models it serves; ["*"]: any by name')
    api_key: str | None = Field(
        None,
        description="reference to its key: env:NAME or file:PATH, never the key; default, without a base_url of its "
        "own: the driver's usual variable, such as OPENAI_API_KEY",
    )
    tasks: list[Filled] = Field(
        default_factory=list,
        description='tasks it is asked for; empty: all; ["embed"]: none, as of a model for embeddings',
    )
    weight: float = Field(1.0, gt=0, le=1_000_000, description="its share of the traffic")
    accuracy: Share | None = Field(None, description="how often it is right: the prior of its vote")
    fallback: bool = Field(False, description="asked only when every other candidate is unavailable or has failed")
    max_tokens: Positive | None = Field(None, description="most tokens it may be asked for")
    timeout_ms: Milliseconds | None = Field(None, description="longest that one call of it may take")
    connect_timeout_ms: Milliseconds = Field(3_000, description="longest that connecting may take")
    first_token_timeout_ms: Milliseconds = Field(30_000, description="longest that its first word may take")
    idle_timeout_ms: Milliseconds = Field(20_000, description="longest silence between two words")
    max_concurrent: Annotated[int | Literal["adaptive"] | None, BeforeValidator(known_limit)] = Field(
        None, description='calls of it at a time; "adaptive": as many as it bears; default: no limit'
    )
    requests_per_minute: Positive | None = Field(None, description="its quota of calls; a spent one is skipped")
    tokens_per_minute: Positive | None = Field(None, description="its quota of tokens, of questions and answers")
    daily_tokens: Positive | None = Field(None, description="its quota of tokens from midnight to midnight UTC")
    priority: int = Field(0, ge=0, le=1_000, description='with qos.balance = "priority": the lowest is asked first')
    extra_headers: dict[str, str] = Field(default_factory=dict, description="sent with every call")
    app_url: str | None = Field(None, description="openrouter: the site its statistics name (HTTP-Referer)")
    app_name: str | None = Field(None, description="openrouter: the name its statistics show (X-Title)")
    num_ctx: Positive | None = Field(None, description="ollama: context window in tokens")
    keep_alive: str | None = Field(None, description='ollama: how long the model stays in memory ("10m", "-1")')
    preload: bool = Field(False, description="ollama: load the model at start")
    sim: Sim = Field(default_factory=Sim, description="sim: the script")

    @property
    def served(self) -> tuple[str, ...]:
        """The models it serves, by the provider's own names."""
        return tuple(self.models or ([self.model] if self.model else []))

    @property
    def any_model(self) -> bool:
        """Whether it passes any name on. Then it is asked only for models that are named: it has none of its own."""
        return "*" in self.served

    @property
    def key(self) -> str | None:
        """The reference to its key. An address of its own is never sent the key that is meant for the usual one."""
        return self.api_key or (KEYS.get(self.driver) if self.base_url is None else None)

    def missing(self, environ: Mapping[str, str]) -> str:
        """The variable that should hold its key and does not; "" where nothing is missing. Only drivers that are of no
        use without a key may lack one: they wait for it, and say so.
        """
        kind, _, variable = (self.key or "").partition(":")
        return variable if self.driver in KEYS and kind == "env" and not environ.get(variable) else ""

    @property
    def url(self) -> str:
        """Where its server is; "" for a driver that has none."""
        return self.base_url or URLS.get(self.driver, "")

    @property
    def prefix(self) -> str:
        return self.provider or self.driver

    @field_validator("provider")
    @classmethod
    def _prefix(cls, value: str | None) -> str | None:
        if value in RESERVED:
            raise ValueError(f'"{value}/..." names {RESERVED[value]}; choose another')
        return value

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", value):
            raise ValueError('must look like "http://host:port", without credentials, query or fragment')
        if value is not None and (port := re.search(r":(\d+)(/|$)", value[8:])) and int(port[1]) > LARGEST_PORT:
            raise ValueError(f"has a port larger than {LARGEST_PORT}")
        return value

    @field_validator("api_key")
    @classmethod
    def _reference(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:\S.*)", value):
            raise ValueError("must be a reference, env:NAME or file:PATH, never the key itself")
        return value

    @field_validator("extra_headers")
    @classmethod
    def _headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not text.isprintable():
                raise Conflict(f'"{shown(name)}" is not a header name with a printable value', (name,))
        return value

    @model_validator(mode="after")
    def _models(self) -> Self:
        if (self.model is None) == (self.models is None):
            raise Conflict("needs either model or models", ("model",), ("models",))
        if self.any_model and (self.model or len(self.served) > 1):
            raise Conflict('"*" stands alone: models = ["*"]', ("models",), ("model",))
        if len(set(self.served)) < len(self.served):
            raise Conflict("models names one model twice", ("models",))
        return self
