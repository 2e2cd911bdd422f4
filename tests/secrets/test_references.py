"""A reference becomes its secret, or a line that names the reference and never the secret."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llm_pool.secrets.references import SecretError, open_to_others, resolve

CANARY = "sk-canary"


def written(directory: Path, content: bytes, mode: int = 0o600) -> str:
    path = directory / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return f"file:{path}"


def refused(reference: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SecretError) as caught:
        resolve(reference, environ or {})
    said = str(caught.value)
    assert "canary" not in said
    assert said.isprintable()
    assert caught.value.__cause__ is None
    return said


def test_from_the_environment() -> None:
    assert resolve("env:KEY", {"KEY": CANARY}) == CANARY
    assert refused("env:KEY") == "env:KEY: is not set"
    assert refused("env:KEY", {"KEY": ""}) == "env:KEY: is empty"
    assert refused("env:KEY", {"KEY": f"{CANARY}\nX-Evil: 1"}) == (
        "env:KEY: holds a control character, such as a second line"
    )


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_from_a_file_without_its_last_newline(tmp_path: Path, end: bytes) -> None:
    assert resolve(written(tmp_path, CANARY.encode() + end), {}) == CANARY


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"sk-canary\n\n", "holds a control character, such as a second line"),
        (b"sk-canary\x00", "holds a control character, such as a second line"),
        (b"sk-canary\xff", "is not UTF-8"),
        (b"sk-canary" * 8000, "larger than 64 KB"),
    ],
)
def test_files_that_hold_no_usable_secret(tmp_path: Path, content: bytes, why: str) -> None:
    reference = written(tmp_path, content)
    assert refused(reference) == f"{reference}: {why}"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert refused(f"file:{tmp_path}/none").endswith("none: cannot be read: No such file or directory")
    assert "file:" in refused(f"file:{tmp_path}")
    assert refused("file:a\0b") == "file:a?b: is not a file name"
    os.mkfifo(tmp_path / "pipe")
    assert refused(f"file:{tmp_path}/pipe").endswith("pipe: is not a file")


def test_a_file_that_every_user_may_read_is_refused(tmp_path: Path) -> None:
    assert resolve(written(tmp_path, b"sk-canary", 0o440), {}) == CANARY
    assert refused(written(tmp_path, b"sk-canary", 0o644)).endswith(
        "every user of this machine may read it; chmod 600 it"
    )


@pytest.mark.parametrize(
    ("mode", "path", "open_"),
    [
        (0o100600, "/etc/pool/key", False),
        (0o100440, "/etc/pool/key", False),
        (0o100444, "/etc/pool/key", True),
        (0o100444, "/run/secrets/key", False),
        (0o100444, "/var/run/secrets/pool/key", False),
        (0o100444, "/run/secrets-of-mine/key", True),
        (0o100666, "/run/secrets/key", True),
    ],
)
def test_mounted_secrets_may_be_readable_and_never_writable(mode: int, path: str, open_: bool) -> None:
    assert open_to_others(mode, Path(path)) is open_


@pytest.mark.parametrize("reference", [CANARY, "", "env:", "file:", "vault:canary"])
def test_what_is_no_reference_is_not_shown(reference: str) -> None:
    assert refused(reference) == "a secret must be given as env:NAME or file:PATH"
