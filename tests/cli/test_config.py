"""`llm-pool init` and `check-config`: begin a configuration, and look at one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from llm_pool.cli import main
from tests.cli.driving import ROOT, command
from tests.running import SIM

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = (ROOT / "llm-pool.toml").read_bytes()


def test_what_init_writes_is_the_annotated_default_and_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what to do next, and that works as it stands."""
    path = tmp_path / "a folder" / "my.toml"
    path.parent.mkdir()
    assert main(["init", str(path)]) == 0
    told = capsys.readouterr().out
    assert path.read_bytes() == DEFAULT
    assert f"llm-pool check-config --config '{path}'" in told
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    assert main(["check-config", "--config", str(path)]) == 0


@pytest.mark.real_time
def test_without_a_name_it_writes_here_with_the_prompts(tmp_path: Path) -> None:
    done = command("init", "--prompts", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "llm-pool check-config\n" in done.out
    assert (tmp_path / "llm-pool.toml").read_bytes() == DEFAULT
    names = {path.name for path in (ROOT / "prompts").glob("*.md")}
    assert {path.name for path in (tmp_path / "prompts").iterdir()} == names


def test_it_overwrites_nothing_unless_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a file nor a prompt; it adds what is not there. A link stays a link."""
    path, target = tmp_path / "llm-pool.toml", tmp_path / "real.toml"
    mine = tmp_path / "prompts" / "chat.md"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert main(["init", str(path)]) == 0
    path.write_text("mine")
    assert main(["init", str(path), "--prompts"]) == 0
    assert (path.read_text(), mine.read_text(), len(list(mine.parent.iterdir()))) == ("mine", "mine", 7)
    assert main(["init", str(path), "--prompts"]) == 2
    assert "llm-pool.toml: is there already; --force overwrites it" in capsys.readouterr().err
    path.unlink()
    target.write_text("mine")
    target.chmod(0o600)
    path.symlink_to(target)
    assert main(["init", str(path)]) == 2
    assert main(["init", str(path), "--prompts", "--force"]) == 0
    assert path.is_symlink()
    assert target.read_bytes() == DEFAULT
    assert target.stat().st_mode & 0o777 == 0o600


def test_where_it_cannot_write_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path)]) == 2
    assert main(["init", str(tmp_path / "none" / "x.toml")]) == 2
    folder, missing = capsys.readouterr().err.splitlines()
    assert folder == f"llm-pool: {tmp_path}: is there already; --force overwrites it"
    assert missing == f"llm-pool: {tmp_path / 'none' / 'x.toml'}: no such file or directory"
    assert main(["init", str(tmp_path), "--force"]) == 2
    assert capsys.readouterr().err == f"llm-pool: {tmp_path}: is a directory\n"


def test_check_config_reads_an_env_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = tmp_path / ".env"
    env.write_text("LLM_POOL_QOS_MAX_TOKENS_DEFAULT=77\n")
    config = str(tmp_path / "my.toml")
    (tmp_path / "my.toml").write_text(SIM)
    assert main(["check-config", config, "--env-file", str(env)]) == 0
    assert "77" in capsys.readouterr().out
    assert main(["check-config", config, "--env-file", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"llm-pool: {tmp_path}: is not a file\n"


def test_check_config_looks_for_keys_where_serve_would(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the environment with the file of --env-file."""
    config, env = str(tmp_path / "my.toml"), tmp_path / ".env"
    (tmp_path / "my.toml").write_text(
        SIM + '[[providers]]\nname = "open"\ndriver = "openai"\nmodels = ["*"]\napi_key = "env:MY_KEY"\n'
    )
    assert main(["check-config", config]) == 0
    assert "without a key, so not asked:\n  open  # MY_KEY is not set\n" in capsys.readouterr().out
    env.write_text("MY_KEY=canary\n")
    assert main(["check-config", config, "--env-file", str(env)]) == 0
    told = capsys.readouterr().out
    assert "not asked" not in told
    assert "canary" not in told


def _umask() -> int:
    before = os.umask(0)
    os.umask(before)
    return before
