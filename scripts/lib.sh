# Shared by the scripts beside it: find a Python, make .venv where it is missing, install into it when needed.
# POSIX sh, sourced.

fail() {
    printf '%s\n' "$1" >&2
    exit 2
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf '%s' "$candidate"
            return
        fi
    done
}

# install EXTRAS: the package, editable, with its extras ("" for none), into .venv. Does nothing when nothing changed.
install() {
    venv=${VENV:-.venv}
    python=$venv/bin/python
    if ! [ -x "$python" ] || ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        found=$(find_python)
        [ -n "$found" ] || fail "llm-pool needs Python 3.11 or newer, and none was found. Install it, or set PYTHON=/path/to/python3."
        rm -rf "$venv"
        printf 'making %s with %s\n' "$venv" "$("$found" --version)" >&2
        "$found" -m venv "$venv" >"$venv.log" 2>&1 || {
            cat "$venv.log" >&2
            rm -rf "$venv" "$venv.log"
            fail "could not make $venv: is the venv module installed (Debian: apt install python3-venv)?"
        }
        rm -f "$venv.log"
    fi
    # pyproject.toml says all that is installed; the checkout's path matters because the package is editable.
    stamp=$venv/installed${1:+-$1}
    want="$(pwd) $(cksum <pyproject.toml)"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
        printf 'installing llm-pool%s into %s\n' "${1:+ [$1]}" "$venv" >&2
        "$python" -m pip install --quiet --disable-pip-version-check -e ".${1:+[$1]}" ||
            fail "could not install llm-pool: see what pip says above"
        printf '%s' "$want" >"$stamp"
    fi
}
