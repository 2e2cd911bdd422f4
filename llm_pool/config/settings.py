"""Every key of `llm-pool.toml`: its type, default and meaning. Frozen; built by `load`, never by hand in production.

`PENDING` names what is accepted but not active yet; `check-config` lists those keys where a file sets them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from llm_pool.config.base import LARGEST_PORT, Conflict, Filled, Milliseconds, Name, Positive, Section, Share
from llm_pool.config.tables import KEYS, RESERVED, ProviderTable
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


# Another name for a model: what clients ask for that cannot be told another one.
Alias = Annotated[str, Field(pattern=r"^[!-~]{1,256}$")]
# What models are asked for beside tasks. A table may name them among its `tasks`, to be asked for no other.
OPERATIONS = frozenset({"embed", "count"})

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
    fallback_unconfigured: Literal["off", "builtin"] = Field(
        "off",
        description='who answers for a known provider that has no key: "off": nobody, with PROVIDER_NOT_CONFIGURED; '
        '"builtin": the fallback tier, with a warning',
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


class Models(Section):
    """What models are called. Their ids are `provider/model`, `pool/<strategy>` and `task/<task>`."""

    aliases: dict[Alias, Filled] = Field(
        default_factory=dict, description='another name -> model id, such as "gpt-4o" -> "ollama/llama3.1:8b"'
    )


class Settings(Section):
    """The whole configuration."""

    server: Server = Server()
    auth: Auth = Auth()
    qos: Qos = Qos()
    ensemble: Ensemble = Ensemble()
    tasks: dict[Name, TaskTable] = Field(default_factory=dict)
    models: Models = Models()
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
        for alias, model in self.models.aliases.items():
            self._check_alias(alias, model)
        for name, task in self.tasks.items():
            self._check_task(name, task)
        return self

    def _check_task(self, name: str, task: TaskTable) -> None:
        """Raises Conflict where it is none, or is for somebody who could never answer it."""
        if name in OPERATIONS:
            raise Conflict(
                f'"{name}" is no task, but something else that models do; choose another name', ("tasks", name)
            )
        tables = {table.name: table for table in self.providers}
        for index, provider in enumerate(task.providers or ()):
            at = ("tasks", name, "providers", index)
            _refuse_unknown(provider, tables, at)
            if tables[provider].any_model:
                why = f'"{provider}" has models = ["*"] and is asked only for models that are named; list its models'
                raise Conflict(f"tasks.{name}.providers: {why}", at)
        elsewhere = self.ensemble.strategy_by_task.get(name)
        if task.strategy and elsewhere and task.strategy != elsewhere:
            both = f'ensemble.strategy_by_task says "{elsewhere}" for {name}, tasks.{name} says "{task.strategy}"'
            raise Conflict(both, ("tasks", name, "strategy"))

    def _check_alias(self, alias: str, model: str) -> None:
        """Raises Conflict where the alias hides a model, or names nothing that could ever answer."""
        prefixes = {table.prefix for table in self.providers} | set(RESERVED) | set(KEYS)
        first, _, rest = model.partition("/")
        at = ("models", "aliases", alias)
        if alias.partition("/")[0] in prefixes and "/" in alias:
            raise Conflict(f'the alias "{shown(alias)}" is itself a model id', at)
        if first not in prefixes or not rest:
            near = nearest(first, prefixes)
            hint = f'; did you mean "{near}/..."?' if near else ""
            raise Conflict(f'models.aliases: "{shown(model)}" is no model id, which is provider/model{hint}', at)
        tables = [table for table in self.providers if table.prefix == first]
        if first == "pool":
            exists, known = rest.casefold() in STRATEGIES, [f"pool/{strategy}" for strategy in STRATEGIES]
        else:  # of a known provider without a table nobody knows the models, and of tasks not all are known here
            exists = first == "task" or not tables or any(table.any_model or rest in table.served for table in tables)
            known = [f"{table.prefix}/{each}" for table in self.providers for each in table.served if each != "*"]
        if not exists:
            near = nearest(model, known)
            hint = f'; did you mean "{shown(near)}"?' if near else ""
            raise Conflict(f'models.aliases: there is no model "{shown(model)}"{hint}', at)


def _refuse_unknown(name: str, tables: Collection[str], at: tuple[str | int, ...]) -> None:
    """Raises Conflict where no `[[providers]]` table has this name."""
    if name not in tables:
        near = nearest(name, tables)
        hint = f'; did you mean "{near}"?' if near else ""
        key = ".".join(str(part) for part in at if isinstance(part, str))
        raise Conflict(f'{key} names no [[providers]] table: "{shown(name)}"{hint}', at)
