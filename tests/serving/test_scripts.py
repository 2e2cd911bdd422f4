"""The commands of the README refuse in one line what they cannot work with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("script", ["start", "test", "check"])
def test_a_machine_without_a_python_new_enough_is_told_so_in_one_line(script: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    environ = {"PATH": "/usr/bin:/bin", "PYTHON": "/bin/false"}

    done = subprocess.run(  # noqa: S603 - our own script
        [tmp_path / "scripts" / script], env=environ, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("llm-pool needs Python 3.11 or newer")
    assert not (tmp_path / ".venv").exists()
