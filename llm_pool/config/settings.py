"""Every key of `llm-pool.toml`: its type, default and meaning. Frozen; built by `load`, never by hand in production.

`PENDING` names what is accepted but not active yet; `check-config` lists those keys where a file sets them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from llm_pool.core.errors import nearest, shown

if TYPE_CHECKING:
    from collections.abc import Collection

STRATEGIES = ("fastest", "voting", "weighted", "consensus", "judge", "council", "cascade", "flow")
ACTIVE_STRATEGIES = ("fastest",)

PENDING = frozenset({
    "cache",
    "judge",
    "providers.accuracy",
})


def known_strategy(name: str) -> str:
    """The strategy's name in lower case. Raises ValueError naming the nearest."""
    if name.casefold() in STRATEGIES:
        return name.casefold()
    near = nearest(name, STRATEGIES)
    raise ValueError(f'unknown strategy "{shown(name)}"' + (f'; did you mean "{near}"?' if near else ""))


LARGEST_PORT = 65_535
RESERVED = {"pool": "strategies", "task": "tasks"}  # first parts of model ids that are no provider's

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Milliseconds = Annotated[int, Field(ge=1, le=86_400_000)]
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Filled = Annotated[str, Field(min_length=1)]
Strategy = Annotated[str, AfterValidator(known_strategy)]


def split_address(address: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as a pair. Raises ValueError."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):(\d{1,5})", address)
    if not match:
        raise ValueError(f'"{shown(address)}" must look like 127.0.0.1:7071')
    port = int(match[2])
    if port > LARGEST_PORT:
        raise ValueError(f"port {port} is larger than {LARGEST_PORT}")
    return match[1].strip("[]"), port


class Conflict(ValueError):
    """Keys that do not go together. `at`: their paths below the table that complains, likeliest culprit first."""

    def __init__(self, message: str, *at: tuple[str | int, ...]) -> None:
        super().__init__(message)
        self.at = at


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Server(Section):
    """Where the pool listens. Changes take effect after a restart."""

    grpc_addr: str = Field("127.0.0.1:7070", description="host:port of the gRPC edge")
    http_addr: str = Field("127.0.0.1:7071", description="host:port of the HTTP edge")
    enable_grpc: bool = Field(True, description="serve gRPC")
    enable_http: bool = Field(True, description="serve HTTP")
    workers: Positive = Field(1, description="worker processes; more than one is refused for now")
    allowed_hosts: list[str] = Field(
        default_factory=list,
        description='host names accepted in Host beside loopback and the bound address; "*": any',
    )
    max_body_bytes: int = Field(
        20 * 1024 * 1024, ge=1, le=1_000_000_000, description="largest request body or gRPC message"
    )
    drain_ms: Milliseconds = Field(25_000, description="how long work in flight may take to end after SIGTERM")
    drain_accept_ms: int = Field(
        5_000,
        ge=0,
        le=60_000,
        description="how long SIGTERM still accepts requests while /readyz already says no",
    )

    @field_validator("grpc_addr", "http_addr")
    @classmethod
    def _address(cls, value: str) -> str:
        split_address(value)
        return value

    @field_validator("workers")
    @classmethod
    def _one_worker(cls, value: int) -> int:
        if value > 1:
            raise ValueError("more than one worker is not possible yet")
        return value

    @model_validator(mode="after")
    def _something_is_served(self) -> Self:
        if not (self.enable_grpc or self.enable_http):
            both = "enable_grpc and enable_http are both false: nothing would be served"
            raise Conflict(both, ("enable_grpc",), ("enable_http",))
        (host, port), other = split_address(self.grpc_addr), split_address(self.http_addr)
        if self.enable_grpc and self.enable_http and (host, port) == other and port != 0:
            raise Conflict("grpc_addr and http_addr are the same", ("http_addr",), ("grpc_addr",))
        return self


class Auth(Section):
    """Who may call."""

    mode: Literal["auto", "off"] = Field(
        "auto",
        description='"auto": everyone on loopback, nobody elsewhere; "off": no authentication anywhere',
    )
    allow_anonymous_network: bool = Field(
        False, description='with mode = "off": listen beyond loopback although everyone there may call'
    )


class Qos(Section):
    """Limits of one request."""

    default_deadline_ms: Milliseconds = Field(30_000, description="deadline of a request that names none")
    max_deadline_ms: Milliseconds = Field(120_000, description="largest deadline_ms that a request may name")
    hedge: Literal["adaptive", "fixed", "off"] = Field(
        "adaptive",
        description='whether a deployment on another host is asked, too, while the first is silent: "adaptive" learns '
        'when, "fixed" waits for hedge_after_ms',
    )
    hedge_after_ms: Milliseconds = Field(
        2_000, description='silence after which it is asked; with "adaptive" only until enough is learned'
    )
    hedge_budget: Share = Field(0.05, description="share of the requests that may be hedged")
    max_prompt_bytes: Positive = Field(16_384, description="largest `prompt` of /v1/infer, UTF-8 bytes")
    max_tokens_default: Positive = Field(256, description="max_tokens of a request that names none")
    max_concurrent_requests: Positive = Field(
        256, description="requests answered at a time; twice as many may wait for their turn, the others are refused"
    )
    queue_timeout_ms: Milliseconds = Field(1_000, description="how long a request waits for its turn in a long queue")
    max_retries: int = Field(
        2, ge=0, le=10, description="how often one request may ask the same deployment again; 10 % of all requests may"
    )
    balance: Literal["latency", "weighted", "round_robin", "least_outstanding", "priority"] = Field(
        "latency", description="how the deployment that is asked first is chosen among those that could answer"
    )

    @model_validator(mode="after")
    def _default_within_maximum(self) -> Self:
        if self.default_deadline_ms > self.max_deadline_ms:
            larger = f"default_deadline_ms ({self.default_deadline_ms}) is larger than max_deadline_ms"
            raise Conflict(f"{larger} ({self.max_deadline_ms})", ("default_deadline_ms",), ("max_deadline_ms",))
        return self


class Ensemble(Section):
    """Which strategy answers."""

    default_strategy: Strategy = Field("fastest", description="strategy of a task that names none")
    strategy_by_task: dict[str, Strategy] = Field(default_factory=dict, description="task -> strategy")


class TaskTable(Section):
    """One `[tasks.NAME]` table: a task of your own, or what is to be different about one that is there."""

    prompt: str | None = Field(
        None,
        description="file of its prompt, from this file's directory; empty: none; default: that of NAME in prompts/",
    )
    answer: dict[str, Any] | None = Field(
        None, alias="schema", description="JSON Schema that answers must fit; default: the one in the prompt's file"
    )
    strategy: Strategy | None = Field(None, description="how its answers are found; default: ensemble.default_strategy")
    providers: list[Filled] | None = Field(
        None, min_length=1, description="names of the [[providers]] that it is for; default: those whose tasks name it"
    )
    max_tokens: Positive | None = Field(None, description="max_tokens of a request that names none")
    temperature: float | None = Field(None, ge=0, le=2, description="temperature of a request that names none")


class Breaker(Section):
    """When to stop asking a deployment that keeps failing."""

    enabled: bool = Field(True, description="stop asking it at all; else only operators open breakers")
    fail_rate: float = Field(0.5, gt=0, le=1, description="share of failed calls that opens the breaker")
    window_size: Positive = Field(100, description="calls looked back on, at most")
    window_seconds: float = Field(30.0, gt=0, le=86_400, description="how far is looked back, at most")
    min_calls: Positive = Field(10, description="calls in the window before fail_rate counts, window_size at most")
    open_cooldown_ms: Milliseconds = Field(5_000, description="how long it stays open at first; doubles each time")
    max_cooldown_ms: Milliseconds = Field(30_000, description="how long it stays open at most, if that is longer")
    per_task: bool = Field(False, description="a breaker for each task of a deployment, not one for all")


class Admin(Section):
    """What operators may do over HTTP. There are no identities yet: whoever may call may then do this, too."""

    enabled: bool = Field(False, description="serve POST /admin/breakers/{provider}")


class Cache(Section):
    """Answers kept for equal questions."""

    enabled: bool = Field(False, description="keep answers")
    driver: Literal["memory", "redis"] = Field("memory", description="where answers are kept")
    ttl_seconds: Positive = Field(3600, description="how long an answer is kept")
    capacity: Positive = Field(1000, description="answers kept at most")
    key_fields: list[str] = Field(
        default_factory=lambda: ["task", "prompt", "model", "max_tokens", "temperature"],
        description="fields of a request that make two questions equal",
    )


class Judge(Section):
    """The model that chooses between answers."""

    model_provider: str = Field("", description="name of the deployment that judges")
    max_tokens: Positive = Field(128, description="max_tokens of a judgement")
    deadline_ms: Milliseconds = Field(3_000, description="deadline of a judgement")
    fallback_strategy: Strategy = Field("fastest", description="strategy when the judge does not answer")


class Telemetry(Section):
    """Logs."""

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe level written")
    log_format: Literal["auto", "json", "human"] = Field("auto", description='"auto": human on a terminal, else json')
    log_file: str = Field("", description="file that log lines are appended to; empty: standard error")
    trace_file: str = Field(
        "", description="file that timings of requests are appended to, for `llm-pool simulate`; no content is in it"
    )


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


class Sim(Section):
    """The script of a simulated model (`driver = "sim"`)."""

    seed: int = Field(0, description="equal seeds and equal questions give equal answers")
    answers: list[str] = Field(
        default_factory=list,
        description="answers to draw from; empty: say what this is and repeat the question",
    )
    json_schema: dict[str, Any] | None = Field(None, description="answer with JSON that fits this schema")
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
    driver: Literal["ollama", "builtin", "sim"] = Field(description="which wire it speaks")
    provider: Name | None = Field(None, description="first part of its public model ids; default: the driver")
    base_url: str | None = Field(None, description="where it listens; default: the driver's usual address")
    model: str | None = Field(None, min_length=1, description="the one model it serves")
    models: list[Filled] | None = Field(None, min_length=1, description='the models it serves; ["*"]: any by name')
    api_key: str | None = Field(None, description="reference to its key: env:NAME or file:PATH, never the key")
    tasks: list[Filled] = Field(default_factory=list, description="tasks it is asked for; empty: all")
    weight: float = Field(1.0, gt=0, le=1_000_000, description="its share of the traffic")
    accuracy: Share | None = Field(None, description="how often it is right: the prior of its vote")
    fallback: bool = Field(False, description="asked only when every other candidate is unavailable or has failed")
    max_tokens: Positive | None = Field(None, description="most tokens it may be asked for")
    timeout_ms: Milliseconds | None = Field(None, description="longest that one call of it may take")
    connect_timeout_ms: Milliseconds = Field(3_000, description="longest that connecting may take")
    first_token_timeout_ms: Milliseconds = Field(30_000, description="longest that its first word may take")
    idle_timeout_ms: Milliseconds = Field(20_000, description="longest silence between two words")
    max_concurrent: Positive | Literal["adaptive"] | None = Field(
        None, description='calls of it at a time; "adaptive": as many as it bears; default: no limit'
    )
    requests_per_minute: Positive | None = Field(None, description="its quota of calls; a spent one is skipped")
    tokens_per_minute: Positive | None = Field(None, description="its quota of tokens, of questions and answers")
    daily_tokens: Positive | None = Field(None, description="its quota of tokens from midnight to midnight UTC")
    priority: int = Field(0, ge=0, le=1_000, description='with qos.balance = "priority": the lowest is asked first')
    extra_headers: dict[str, str] = Field(default_factory=dict, description="sent with every call")
    num_ctx: Positive | None = Field(None, description="ollama: context window in tokens")
    keep_alive: str | None = Field(None, description='ollama: how long the model stays in memory ("10m", "-1")')
    preload: bool = Field(False, description="ollama: load the model at start")
    sim: Sim = Field(default_factory=Sim, description="sim: the script")

    @property
    def served(self) -> tuple[str, ...]:
        """The models it serves, by the provider's own names."""
        return tuple(self.models or ([self.model] if self.model else []))

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
        if "*" in self.served and (self.model or len(self.served) > 1):
            raise Conflict('"*" stands alone: models = ["*"]', ("models",), ("model",))
        if len(set(self.served)) < len(self.served):
            raise Conflict("models names one model twice", ("models",))
        return self


class Settings(Section):
    """The whole configuration."""

    server: Server = Server()
    auth: Auth = Auth()
    qos: Qos = Qos()
    ensemble: Ensemble = Ensemble()
    tasks: dict[Name, TaskTable] = Field(default_factory=dict)
    breaker: Breaker = Breaker()
    admin: Admin = Admin()
    cache: Cache = Cache()
    providers: list[ProviderTable] = Field(default_factory=list)
    judge: Judge = Judge()
    telemetry: Telemetry = Telemetry()

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        seen: set[str] = set()
        for index, table in enumerate(self.providers):
            if table.name in seen:
                raise Conflict(f'two [[providers]] tables are named "{table.name}"', ("providers", index, "name"))
            seen.add(table.name)
        if not self.providers:
            raise ValueError("no [[providers]] table: nobody could answer")
        if judge := self.judge.model_provider:
            _refuse_unknown(judge, seen, ("judge", "model_provider"))
        for name, task in self.tasks.items():
            for index, provider in enumerate(task.providers or ()):
                _refuse_unknown(provider, seen, ("tasks", name, "providers", index))
            elsewhere = self.ensemble.strategy_by_task.get(name)
            if task.strategy and elsewhere and task.strategy != elsewhere:
                both = f'ensemble.strategy_by_task says "{elsewhere}" for {name}, tasks.{name} says "{task.strategy}"'
                raise Conflict(both, ("tasks", name, "strategy"))
        return self


def _refuse_unknown(name: str, tables: Collection[str], at: tuple[str | int, ...]) -> None:
    """Raises Conflict where no `[[providers]]` table has this name."""
    if name not in tables:
        near = nearest(name, tables)
        hint = f'; did you mean "{near}"?' if near else ""
        key = ".".join(str(part) for part in at if isinstance(part, str))
        raise Conflict(f'{key} names no [[providers]] table: "{shown(name)}"{hint}', at)
