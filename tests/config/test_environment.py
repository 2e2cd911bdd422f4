"""The environment wins over the file; what is not ours is left alone; what is wrong is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ollama._client import _parse_host

from llm_pool.config.environment import ollama_url, read, variable_of
from llm_pool.config.fields import keys_of, sections
from llm_pool.config.load import ConfigError, Loaded, load

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
[qos]
max_retries = 3
[[providers]]
name = "phi3"
driver = "ollama"
model = "phi3:mini"
[[providers]]
name = "far"
driver = "ollama"
model = "big"
base_url = "http://far:1"
api_key = "env:FAR_KEY"
[[providers]]
name = "sim"
driver = "sim"
model = "x"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "llm-pool.toml"
    path.write_text(FILE)
    return path


def loaded(path: Path, **environ: str) -> Loaded:
    return load(path, environ)


def problem(path: Path, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    assert len(caught.value.problems) == 1
    return str(caught.value)


def test_each_kind_of_value(path: Path) -> None:
    it = loaded(
        path,
        LLM_POOL_QOS_MAX_RETRIES="5",
        LLM_POOL_BREAKER_FAIL_RATE="0.25",
        LLM_POOL_SERVER_ENABLE_GRPC="0",
        LLM_POOL_CACHE_ENABLED="TRUE",
        LLM_POOL_SERVER_HTTP_ADDR="0.0.0.0:80",
        LLM_POOL_SERVER_ALLOWED_HOSTS="a.example, b.example,",
        LLM_POOL_TELEMETRY_LOG_FORMAT="json",
    )
    assert it.settings.qos.max_retries == 5
    assert it.settings.breaker.fail_rate == 0.25
    assert not it.settings.server.enable_grpc
    assert it.settings.cache.enabled
    assert it.settings.server.http_addr == "0.0.0.0:80"
    assert it.settings.server.allowed_hosts == ["a.example", "b.example"]
    assert it.settings.telemetry.log_format == "json"
    assert it.origins["qos.max_retries"] == "environment LLM_POOL_QOS_MAX_RETRIES"


def test_every_key_of_every_section_has_a_variable_that_is_read() -> None:
    environ = {variable_of(section, key): "1" for section, table in sections().items() for key in keys_of(table)}
    found = read(environ)
    assert set(found.problems) == {
        "environment LLM_POOL_ENSEMBLE_STRATEGY_BY_TASK: ensemble.strategy_by_task is a table, set in the file only",
        "environment LLM_POOL_MODELS_ALIASES: models.aliases is a table, set in the file only",
    }
    assert len(found.values) == len(environ) - len(found.problems)


def test_an_empty_variable_is_unset(path: Path) -> None:
    it = loaded(path, LLM_POOL_QOS_MAX_RETRIES=" ", MAX_RETRIES="", LLM_POOL_QOS_NONSENSE="", OLLAMA_HOST="")
    assert it.settings.qos.max_retries == 3
    assert it.settings.providers[0].base_url is None


def test_names_known_from_elsewhere_and_who_wins(path: Path) -> None:
    known = {"MAX_CONCURRENT_REQUESTS": "10", "REQUEST_TIMEOUT": "2.5", "MAX_RETRIES": "1", "LOG_LEVEL": "WARN"}
    it = loaded(path, **known, LLM_POOL_TELEMETRY_LOG_LEVEL="")
    assert it.settings.qos.max_concurrent_requests == 10
    assert it.settings.qos.default_deadline_ms == 2500
    assert it.settings.qos.max_retries == 1
    assert it.settings.telemetry.log_level == "warning"
    assert it.origins["qos.default_deadline_ms"] == "environment REQUEST_TIMEOUT"
    assert loaded(path, MAX_RETRIES="wrong but beaten", LLM_POOL_QOS_MAX_RETRIES="7").settings.qos.max_retries == 7


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LLM_POOL_QOS_MAX_RETRIES", "two", 'qos.max_retries: must be a whole number (got "two")'),
        ("LLM_POOL_QOS_MAX_RETRIES", "2.0", 'qos.max_retries: must be a whole number (got "2.0")'),
        ("LLM_POOL_QOS_MAX_RETRIES", "9" * 9999, 'qos.max_retries: must be a whole number (got "' + "9" * 79 + '…")'),
        ("LLM_POOL_QOS_MAX_RETRIES", "11", "qos.max_retries: must be 10 or less (got 11)"),
        ("LLM_POOL_QOS_MAX_DEADLINE_MS", "0", "qos.max_deadline_ms: must be 1 or more (got 0)"),
        ("LLM_POOL_BREAKER_FAIL_RATE", "half", 'breaker.fail_rate: must be a number (got "half")'),
        ("LLM_POOL_BREAKER_FAIL_RATE", "nan", "breaker.fail_rate: must be a finite number (got nan)"),
        ("LLM_POOL_CACHE_ENABLED", "yes", 'cache.enabled: must be true or false (got "yes")'),
        ("LLM_POOL_SERVER_HTTP_ADDR", "80", 'server.http_addr: "80" must look like 127.0.0.1:7071'),
        ("LLM_POOL_SERVER_HTTP_ADR", "80", 'unknown key "http_adr" in [server]; did you mean "http_addr"?'),
        ("LLM_POOL_SERVER_PORT", "80", 'unknown key "port" in [server]'),
        ("LLM_POOL_PROVIDERS_0_WEIGHT", "1", "[[providers]] are set in the file only"),
        ("MAX_RETRIES", "x", 'qos.max_retries: must be a whole number (got "x")'),
        ("REQUEST_TIMEOUT", "30s", 'qos.default_deadline_ms: must be a number of seconds (got "30s")'),
        ("REQUEST_TIMEOUT", "-1", 'qos.default_deadline_ms: must be a number of seconds (got "-1")'),
        ("REQUEST_TIMEOUT", "0", "qos.default_deadline_ms: must be 1 or more (got 0)"),
        ("REQUEST_TIMEOUT", "500", "qos: default_deadline_ms (500000) is larger than max_deadline_ms (120000)"),
        (
            "LOG_LEVEL",
            "loud",
            'telemetry.log_level: must be "debug" or "info" or "warning" or "error" (got "loud")',
        ),
        ("OLLAMA_HOST", "http://me:secret@host", "must look like host, host:port, :port or http://host:port"),
    ],
)
def test_a_wrong_value_names_the_variable(path: Path, name: str, value: str, said: str) -> None:
    assert problem(path, **{name: value}) == f"environment {name}: {said}"


def test_what_kubernetes_adds_is_left_alone(path: Path) -> None:
    names = {
        "LLM_POOL_PORT": "tcp://10.0.0.1:7070",
        "LLM_POOL_SERVICE_HOST": "10.0.0.1",
        "LLM_POOL_PORT_7070_TCP_ADDR": "10.0.0.1",
        "LLM_POOL_TOKEN": "x",
        "LLM_POOL_CACHE_SERVICE_HOST": "10.0.0.2",  # of another service, `llm-pool-cache`
        "LLM_POOL_CACHE_SERVICE_PORT_REDIS": "6379",
        "LLM_POOL_CACHE_PORT": "tcp://10.0.0.2:6379",
        "LLM_POOL_CACHE_PORT_6379_TCP": "tcp://10.0.0.2:6379",
        "LLM_POOL_CACHE_PORT_6379_TCP_PROTO": "tcp",
    }
    assert loaded(path, **names).ignored == tuple(sorted(names))


def test_ollamas_own_variables_fill_in_what_a_table_leaves_out(path: Path) -> None:
    it = loaded(path, OLLAMA_HOST="gpu", OLLAMA_API_KEY="canary")
    phi3, far, sim = it.settings.providers
    assert (phi3.base_url, phi3.api_key) == ("http://gpu:11434", "env:OLLAMA_API_KEY")
    assert (far.base_url, far.api_key) == ("http://far:1", "env:FAR_KEY")
    assert (sim.base_url, sim.api_key) == (None, None)
    assert it.origins["providers.phi3.base_url"] == "environment OLLAMA_HOST"
    assert it.origins["providers.phi3.api_key"] == "environment OLLAMA_API_KEY"
    assert it.origins["providers.far.base_url"] == "llm-pool.toml:12"
    assert "canary" not in repr(it)


@pytest.mark.parametrize(
    "host",
    ["gpu", "gpu:1", ":1234", "1.2.3.4", "http://gpu", "https://gpu", "http://gpu:1", "[::1]", "[::1]:5", "gpu:1/api/",
     "https://gpu.example/ollama"],
)  # fmt: skip
def test_a_host_is_read_as_ollamas_client_reads_it(host: str) -> None:
    assert ollama_url(host) == _parse_host(host)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434"),  # noqa: S104
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://0.0.0.0:1", "http://127.0.0.1:1"),
        ("[::]:1", "http://[::1]:1"),
        ("::", "http://[::1]:11434"),
        ("fe80::1", "http://[fe80::1]:11434"),
    ],
)
def test_an_address_to_listen_on_is_called_on_loopback(host: str, url: str) -> None:
    assert ollama_url(host) == url


@pytest.mark.parametrize("host", ["ftp://gpu", "user@gpu", "gpu:x", "gpu:99999", "a b", "gpu/?x=1", "g:h:i"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="must look like host"):
        ollama_url(host)


def test_ollamas_key_goes_to_ollamas_host_only(tmp_path: Path) -> None:
    """A table with an address of its own says itself which key is for it."""
    file = tmp_path / "llm-pool.toml"
    table = '[[providers]]\nname = "{name}"\ndriver = "ollama"\nmodel = "m"\n'
    file.write_text(table.format(name="a") + table.format(name="b") + 'base_url = "http://elsewhere:1"\n')
    ours, elsewhere = load(file, {"OLLAMA_API_KEY": "k"}).settings.providers
    assert (ours.api_key, elsewhere.api_key) == ("env:OLLAMA_API_KEY", None)
