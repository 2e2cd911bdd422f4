"""What a user gets from a clone, and from `pip install .`: the same pool, from an empty home and any directory."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ASK = {"task": "judge", "prompt": '["It is the disk.", "It is the disk, for it is full."]'}

pytestmark = [pytest.mark.install, pytest.mark.timeout(300)]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What git has of the project, in a folder with a space in its name."""
    folder = tmp_path / "a clone"
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git is what a user has
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in names.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@contextmanager
def started(command: list[str], *, cwd: Path, home: Path) -> Iterator[str]:
    """A pool that this command starts, as the user of an empty home; gives the address of its HTTP edge."""
    home.mkdir(exist_ok=True)
    environ = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "PIP_", "SSL_"))}
    environ |= {
        "HOME": str(home),
        "OLLAMA_HOST": "127.0.0.1:9",  # nobody listens there
        "LLM_POOL_SERVER_GRPC_ADDR": "127.0.0.1:0",
        "LLM_POOL_SERVER_HTTP_ADDR": "127.0.0.1:0",
    }
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = re.search(r"ready: gRPC 127\.0\.0\.1:\d+, HTTP (127\.0\.0\.1:\d+) ", line)
        assert ready, process.communicate(timeout=10)
        yield f"http://{ready[1]}"
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def asked(url: str) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{url}/v1/infer", json.dumps(ASK).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
    return answer


def test_a_clone_starts_with_one_command_and_the_second_time_at_once(clone: Path, tmp_path: Path) -> None:
    for _ in range(2):
        with started([str(clone / "scripts" / "start")], cwd=tmp_path, home=tmp_path / "home") as url:
            answer = asked(url)
        assert answer["winner_model"] == "builtin/extractive"
        assert answer["decision"]["degraded"] is True
    begun = time.monotonic()
    shown = subprocess.run(  # noqa: S603
        [clone / "scripts" / "start", "--help"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "serve" in shown.stdout
    assert time.monotonic() - begun < 10, "nothing was installed again"


def test_what_pip_installs_brings_its_configuration_along(clone: Path, tmp_path: Path) -> None:
    venv, empty = tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, capture_output=True)  # noqa: S603
    subprocess.run([venv / "bin" / "pip", "install", "-q", "."], cwd=clone, check=True, capture_output=True)  # noqa: S603
    command = str(venv / "bin" / "llm-pool")

    shown = subprocess.run([command, "check-config"], cwd=empty, capture_output=True, text=True, check=True)  # noqa: S603
    assert str(venv) in shown.stdout.splitlines()[0]
    with started([command, "serve"], cwd=empty, home=tmp_path / "home") as url:
        answer = asked(url)
        assert answer["winner_model"] == "builtin/extractive"
        assert json.loads(answer["content"]).keys() == {"winner_id", "confidence", "reason"}
        for path in ("/docs", "/docs/swagger-ui-bundle.js", "/openapi.json"):
            with urllib.request.urlopen(f"{url}{path}", timeout=10) as response:  # noqa: S310
                assert response.read()
    subprocess.run([command, "init", "--prompts"], cwd=empty, check=True, capture_output=True)  # noqa: S603
    assert len(list((empty / "prompts").glob("*.md"))) == 7
