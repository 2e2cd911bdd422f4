"""`llm-pool serve` becomes a server that knows nothing of the command line."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.driving import ROOT, command, environment
from tests.running import ANY_PORT, SIM, served

pytestmark = pytest.mark.real_time

EVERYTHING = "import llm_pool.serve, llm_pool.edges.http, llm_pool.edges.grpc"
QUICK = f"server.drain_accept_ms = 0\n{SIM}"


def imported(code: str) -> set[str]:
    """The packages that this line of Python imports."""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_the_serving_process_imports_nothing_of_terminals() -> None:
    assert imported(EVERYTHING).isdisjoint({"typer", "rich", "click", "httpx", "ollama"})


def test_what_only_parses_imports_little() -> None:
    """Neither help nor `serve` waits for aiohttp, pydantic or rich."""
    heavy = {"aiohttp", "pydantic", "rich", "grpc", "httpx", "ollama", "asyncio"}
    assert imported("import llm_pool.cli.app, llm_pool.cli.serve").isdisjoint(heavy)


def test_it_replaces_itself() -> None:
    """One process, which is what a supervisor signals; what runs is the server's own module, and its lines say so."""
    with served(QUICK) as up:
        up.ready()
        said = Path(f"/proc/{up.process.pid}/cmdline").read_bytes().split(b"\0")
        assert said[1:4] == [b"-P", b"-m", b"llm_pool.serve"]
        up.send(signal.SIGTERM)
        assert up.code() == 0
    assert any('"logger":"llm_pool.serve"' in line for line in up.err)


def test_ctrl_c_while_the_server_is_being_imported_leaves_no_traceback() -> None:
    """It is held back over the change of programs, and heard as soon as there is somebody to hear it."""
    for delay in (0.15, 0.3):
        with served(QUICK) as up:
            time.sleep(delay)
            up.send(signal.SIGINT)
            assert up.code() in {0, 130, -signal.SIGINT}  # the last: before Python itself listens to it
        assert "Traceback" not in "\n".join(up.err)


def test_what_serves_is_the_package_that_was_called(tmp_path: Path) -> None:
    """`python -m llm_pool` in a checkout that is not the installed one; nothing else there is imported."""
    for name in ("llm_pool", "prompts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "llm_pool" / "version.py").write_text(
        '"""The one place that holds the version."""\n__version__ = "9.9"\n'
    )
    (tmp_path / "my.toml").write_text(QUICK)
    environ = {name: value for name, value in environment("").items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        [sys.executable, "-m", "llm_pool", "serve", "--config", "my.toml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        env={**environ, **ANY_PORT},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"llm-pool 9.9 ready")
    finally:
        process.kill()
        process.communicate(timeout=10)


def test_what_lies_in_the_current_directory_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "signal.py").write_text("raise SystemExit('imported from the current directory')")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "llm_pool", "serve", "--config", "none.toml"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=20,
        env=environment(""),
    )
    assert (done.returncode, done.stderr) == (2, "llm-pool: none.toml: no such file\n")


def test_an_env_file_that_no_environment_can_hold_is_refused(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_bytes(b"A='x\0y'\n")
    done = command("serve", "--env-file", str(env))
    assert done.code == 2
    assert done.err == f"llm-pool: {env}: holds a name or a value that no environment can hold\n"
