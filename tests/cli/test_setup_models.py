"""`setup-models.sh` with a small stand-in for `ollama` on PATH: what it fetches, skips and says."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.driving import ROOT, Done

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real_time

SCRIPT = ROOT / "setup-models.sh"
TOOLS = ("awk", "tr", "grep", "cat", "sh")

FAKE = """#!/bin/sh
here=$(dirname "$0")
case $1 in
    list)
        [ ! -e "$here/down" ] || exit 1
        printf 'NAME            ID    SIZE    MODIFIED\\n'
        while read -r name; do printf '%s    abc    2.2 GB    2 days ago\\n' "$name"; done <"$here/installed"
        ;;
    pull)
        printf '%s\\n' "$2" >>"$here/pulled"
        [ "$2" != nobody ]
        ;;
esac
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH of its own: the few tools that the script uses, and the stand-in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in (*TOOLS, "dirname"):
        found = shutil.which(tool)
        assert found
        (folder / tool).symlink_to(found)
    (folder / "ollama").write_text(FAKE)
    (folder / "ollama").chmod(0o755)
    (folder / "installed").write_text("Phi3:mini\nmistral:latest\n")
    return folder


def run(path: Path, *arguments: str) -> Done:
    done = subprocess.run(  # noqa: S603 - our own script
        [SCRIPT, *arguments], env={"PATH": str(path)}, capture_output=True, text=True, check=False, timeout=10
    )
    return Done(done.returncode, done.stdout, done.stderr)


def pulled(path: Path) -> list[str]:
    return (path / "pulled").read_text().split() if (path / "pulled").exists() else []


def test_the_default_models_are_fetched_and_those_that_are_there_are_not(path: Path) -> None:
    done = run(path)
    assert (done.code, done.err) == (0, "")
    assert pulled(path) == ["llama3.1:8b", "gemma2:9b"]
    assert "there before: phi3:mini\nfetched: llama3.1:8b gemma2:9b\nall models are there" in done.out


def test_others_may_be_named_and_what_fails_is_told_at_the_end(path: Path) -> None:
    """A name without a tag means `:latest`. One failure keeps nobody else from being fetched."""
    done = run(path, "mistral", "nobody", "qwen2.5:3b")
    assert done.code == 1
    assert pulled(path) == ["nobody", "qwen2.5:3b"]
    assert done.err.splitlines()[-1] == "not fetched: nobody"
    assert "all models are there" not in done.out


def test_what_to_do_without_ollama_or_its_server(path: Path) -> None:
    (path / "down").touch()
    done = run(path)
    assert (done.code, done.out) == (3, "")
    assert "ollama serve" in done.err
    (path / "ollama").unlink()
    done = run(path)
    assert (done.code, done.out) == (3, "")
    assert "https://ollama.com/download" in done.err


def test_help_and_a_mistake_need_no_ollama(path: Path) -> None:
    (path / "ollama").unlink()
    done = run(path, "--help")
    assert (done.code, done.err) == (0, "")
    assert "phi3:mini llama3.1:8b gemma2:9b" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    done = run(path, "--fast")
    assert (done.code, done.out) == (2, "")
