"""What the image is built from, and what `.env.example` offers. `scripts/test-image` builds and runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from llm_pool.config import environment
from llm_pool.config.fields import keys_of, sections

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / ".env.example"
OLLAMA = [{"name": "a", "driver": "ollama", "model": "m"}]  # a table as TOML gives it, so that OLLAMA_HOST is read


def offered() -> list[tuple[str, str]]:
    """Every assignment of the example, those behind a "#" too."""
    return re.findall(r"^(?:# )?([A-Z][A-Z_]*)=(.*)$", EXAMPLE.read_text(), re.MULTILINE)


def test_the_example_of_an_environment_is_read_and_changes_nothing(tmp_path: Path) -> None:
    shown = [
        subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-P", "-m", "llm_pool", "check-config", *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for arguments in (["--env-file", str(EXAMPLE)], [])
    ]

    assert shown[0] == shown[1]


def test_every_variable_of_the_example_means_something() -> None:
    assert len(offered()) > 10
    for name, value in offered():
        read = environment.read({name: value}, OLLAMA)

        assert (read.problems, read.ignored) == ((), ()), name
        found = name in {*read.variables.values(), environment.CONFIG}
        assert found or (name.endswith("_API_KEY") and value == ""), name


def test_the_example_can_be_read_by_docker_too() -> None:
    for name, value in offered():
        assert not re.search(r"[\"'#\s]", value), f"{name}: Docker takes quotes, blanks and comments for the value"


def test_the_image_names_no_variable_that_does_not_exist() -> None:
    known = {environment.variable_of(section, key) for section, table in sections().items() for key in keys_of(table)}
    for file in ("Dockerfile", "scripts/test-image"):
        named = set(re.findall(r"\bLLM_POOL_[A-Z_]+(?==)", (ROOT / file).read_text()))

        assert named, file
        assert named <= known, file


def test_the_image_is_given_all_that_the_wheel_is_built_from() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    needed |= {*wheel["packages"], *wheel["force-include"]}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    needed = {name.partition("/")[0] for name in needed}

    assert needed == let_in
    assert needed == {name for line in copies for name in line.split()}
