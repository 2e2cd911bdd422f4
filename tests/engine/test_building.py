"""`scripts/build-engine` builds once, leaves no half behind, and says what it lacks. With a compiler that is a fake."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What it starts, each in a few words: a venv is a folder, the package is a file, and the compiler writes a program.
PYTHON = f"""#!/bin/sh
case "$*" in
*"-m venv"*) mkdir -p "$3/bin"; cp "$0-pip" "$3/bin/pip" ;;
*) exec {sys.executable} "$@" ;;
esac
"""
PIP = """#!/bin/sh
echo "$*" >>"$FAKES/asked"
while [ $# -gt 1 ]; do
    [ "$1" != -d ] || cp "$FAKES/package.tar.gz" "$2/package.tar.gz"
    [ "$1" != -r ] || cp "$2" "$FAKES/wanted"
    shift
done
"""
CMAKE = """#!/bin/sh
[ ! -e "$FAKES/broken" ] || { echo "no such compiler"; exit 1; }
[ "$1" = --build ] || exit 0
sleep 0.2
mkdir -p "$2/bin"
printf '#!/bin/sh\\necho an engine\\n' >"$2/bin/llama-server"
chmod +x "$2/bin/llama-server"
"""


class Machine:
    """A PATH of what a machine has, and a cache folder."""

    def __init__(self, folder: Path, *, without: str = "") -> None:
        self.bin, self.cache = folder / "bin", folder / "cache"
        self.bin.mkdir()
        for name in ("bash", "sh", "dirname", "readlink", "mktemp", "mkdir", "rm", "mv", "tar", "gzip", "tail", "cat"):
            (self.bin / name).symlink_to(str(shutil.which(name)))
        for name in ("cp", "chmod", "getconf", "env", "sleep"):
            (self.bin / name).symlink_to(str(shutil.which(name)))
        programs = {"python3": PYTHON, "python3-pip": PIP, "g++": "#!/bin/sh\n", "make": "#!/bin/sh\n", "cmake": CMAKE}
        for name, text in programs.items():
            if name != without:
                (self.bin / name).write_text(text)
                (self.bin / name).chmod(0o755)
        with tarfile.open(self.bin / "package.tar.gz", "w:gz") as package:
            package.addfile(tarfile.TarInfo("llama_cpp_python-1/vendor/README"), io.BytesIO())

    def build(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": str(self.bin), "FAKES": str(self.bin), "XDG_CACHE_HOME": str(self.cache), **more}
        return subprocess.run(  # noqa: S603 - our own script
            [str(ROOT / "scripts/build-engine"), *arguments], env=environ, capture_output=True, text=True, check=False
        )

    def left(self) -> list[str]:
        return [path.name for path in (self.cache / "llm-pool").iterdir()]


def test_it_builds_once_and_tells_where(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    first = machine.build()
    assert first.returncode == 0, first.stderr
    engine = Path(first.stdout.strip())
    assert engine.parent == tmp_path / "cache/llm-pool"
    assert re.fullmatch(r"llama-server-[0-9.]+", engine.name)
    assert subprocess.check_output([engine], text=True) == "an engine\n"  # noqa: S603
    assert machine.build("--path").stdout == first.stdout

    (machine.bin / "broken").touch()
    again = machine.build()
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")
    assert machine.left() == [engine.name]


def test_the_package_is_wanted_by_version_and_hash(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.build()
    assert "--require-hashes" in (machine.bin / "asked").read_text()
    wanted = (machine.bin / "wanted").read_text()
    length = 2 * hashlib.sha256().digest_size
    assert re.fullmatch(rf"llama-cpp-python==[0-9.]+ --hash=sha256:[0-9a-f]{{{length}}}\n", wanted)


def test_two_at_a_time_do_not_hurt_each_other(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with ThreadPoolExecutor(2) as both:
        one, other = both.map(lambda _: machine.build(), range(2))
    assert (one.returncode, other.returncode) == (0, 0), one.stderr + other.stderr
    assert one.stdout == other.stdout
    assert machine.left() == [Path(one.stdout.strip()).name]


def test_a_build_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    (machine.bin / "broken").touch()
    done = machine.build()
    assert done.returncode == 2
    assert "no such compiler" in done.stderr
    assert done.stderr.endswith("build-engine: cmake failed, see above\n")
    assert machine.left() == []


def test_cmake_comes_from_the_package_index_where_it_is_missing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, without="cmake")
    machine.build()
    assert "install cmake\n" in (machine.bin / "asked").read_text()


@pytest.mark.parametrize(("without", "said"), [("g++", "needs a C++ compiler"), ("python3", "needs Python 3.11")])
def test_what_is_missing_is_named_in_one_line(without: str, said: str, tmp_path: Path) -> None:
    done = Machine(tmp_path, without=without).build()
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith(f"build-engine: {said}")
    assert not (tmp_path / "cache").exists()


def test_another_engine_can_be_named(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    own = tmp_path / "own"
    refused = machine.build(LLM_POOL_ENGINE=str(own))
    assert refused.returncode == 2
    assert refused.stderr == f"build-engine: LLM_POOL_ENGINE: {own} is no program\n"

    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    taken = machine.build(LLM_POOL_ENGINE=str(own))
    assert (taken.returncode, taken.stdout) == (0, f"{own}\n")
