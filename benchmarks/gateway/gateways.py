"""Who is measured: the pool, a bare proxy, and the gateways that are installed. Each as its own documents start it."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gateway.upstream import AT_ONCE, PACED

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).resolve().parent
READY = r" ready: [^|]*?HTTP (\S+:\d+)"
KEY = "sk-benchmark-1234"

# How each is told where it is: option, variable, and what stands there.
INSTALLED = {
    "litellm": ("LLM_POOL_BENCH_LITELLM", "the program `litellm`, with its [proxy] extra"),
    "portkey": ("LLM_POOL_BENCH_PORTKEY", "the folder with node_modules/@portkey-ai/gateway"),
    "tensorzero": ("LLM_POOL_BENCH_TENSORZERO", "a Python that has `tensorzero` and `openai`"),
}


@dataclass(frozen=True, slots=True)
class Gateway:
    """`{upstream}`, `{port}` and `{folder}` in command, files and headers are filled in when it is started.

    `says`: what its output has in it when it is ready, with its address; empty: it answers on `{port}`.
    """

    name: str
    command: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    says: str = ""
    path: str = "/v1/chat/completions"
    headers: tuple[str, ...] = ()
    model: str = "{}"  # how it names a model of the upstream
    start: float = 30.0  # seconds that it may take
    warm_up: int = 2  # seconds of load of each kind before anything is measured


_POOL = f"""
[server]
grpc_addr = "127.0.0.1:0"
http_addr = "127.0.0.1:0"

[telemetry]
log_format = "json"
log_file = "{{folder}}/pool.jsonl"

[[providers]]
name = "upstream"
driver = "openai"
base_url = "{{upstream}}/v1"
models = ["{AT_ONCE}", "{PACED}"]
"""

_LITELLM = (
    "model_list:\n"
    + "".join(
        f'  - {{{{model_name: {name}, litellm_params: {{{{model: openai/{name}, api_base: "{{upstream}}/v1",'
        " api_key: sk-none}}}}\n"
        for name in (AT_ONCE, PACED)
    )
    + (
        f"general_settings: {{{{master_key: {KEY}}}}}\n"
        "litellm_settings: {{set_verbose: false, json_logs: true, request_timeout: 600}}\n"
    )
)

_TENSORZERO = "[gateway]\nobservability.enabled = false\n" + "".join(
    f'[models."{name}"]\nrouting = ["upstream"]\n[models."{name}".providers.upstream]\ntype = "openai"\n'
    f'model_name = "{name}"\napi_base = "{{upstream}}/v1/"\napi_key_location = "none"\n'
    for name in (AT_ONCE, PACED)
)

# Loaded before it: it has no option for the address, and would listen on every one that the machine has.
_LOOPBACK = """
const net = require('net');
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...given) {{
  const options = typeof given[0] === 'object' && given[0] !== null ? {{ ...given[0] }} : {{ port: given[0] }};
  const told = given.find((each) => typeof each === 'function');
  return listen.call(this, {{ ...options, host: '127.0.0.1' }}, told);
}};
"""

POOL = Gateway(
    "pool",
    (sys.executable, "-m", "llm_pool", "serve", "--config", "{folder}/llm-pool.toml"),
    {"llm-pool.toml": _POOL},
    says=READY,
    model="openai/{}",
)
PROXY = Gateway("proxy", (sys.executable, "-m", "benchmarks.gateway.proxy", "{upstream}"), says=READY)


def litellm(program: str) -> Gateway:
    arguments = ("--config", "{folder}/litellm.yaml", "--host", "127.0.0.1", "--port", "{port}")
    return Gateway(
        "litellm",
        (program, *arguments, "--num_workers", "1", "--telemetry", "False"),
        {"litellm.yaml": _LITELLM},
        # As for production; and no price list from the network.
        {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"},
        headers=(f"Authorization: Bearer {KEY}",),
        start=120.0,
        warm_up=5,
    )


def portkey(folder: str) -> Gateway:
    program = str(Path(folder) / "node_modules/@portkey-ai/gateway/build/start-server.js")
    upstream = ("x-portkey-provider: openai", "x-portkey-custom-host: {upstream}/v1")
    return Gateway(
        "portkey",
        ("node", "-r", "{folder}/loopback.js", program, "--headless", "--port={port}"),
        {"loopback.js": _LOOPBACK},
        {"NODE_ENV": "production"},
        headers=("Authorization: Bearer sk-none", *upstream),
        warm_up=3,
    )


def tensorzero(python: str) -> Gateway:
    return Gateway(
        "tensorzero",
        (python, "-u", str(HERE / "embedded.py"), "{folder}/tensorzero.toml"),
        {"tensorzero.toml": _TENSORZERO},
        says=r"URL=http://(\S+)",
        path="/chat/completions",
        model="tensorzero::model_name::{}",
    )


_MAKE = {"litellm": litellm, "portkey": portkey, "tensorzero": tensorzero}


def found(told: Mapping[str, str | None], environ: Mapping[str, str] = os.environ) -> list[Gateway]:
    """Those that are installed: where the command line says, else the variable, else (LiteLLM) on the PATH."""
    places = {name: told.get(name) or environ.get(variable) for name, (variable, _) in INSTALLED.items()}
    places["litellm"] = places["litellm"] or shutil.which("litellm", path=environ.get("PATH"))
    return [make(place) for name, make in _MAKE.items() if (place := places[name])]
