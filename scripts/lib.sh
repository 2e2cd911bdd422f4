# Shared by the scripts beside it: find a Python, make .venv where it is missing, install into it when needed.
# POSIX sh, sourced; `root` is the checkout.
# shellcheck shell=sh

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

make_venv() {
    found=$(find_python)
    [ -n "$found" ] || fail "llm-pool needs Python 3.11 or newer, and none was found. Install it, or set PYTHON=/path/to/python3."
    printf 'making %s with %s\n' "$venv" "$("$found" --version)" >&2
    rm -rf "$venv" 2>/dev/null || fail "cannot write $venv: make the checkout writable, or set VENV=/another/folder."
    # Half of one would be taken for a whole one the next time.
    trap 'rm -rf "$venv"; exit 130' INT TERM
    said=$("$found" -m venv "$venv" 2>&1) || {
        rm -rf "$venv"
        printf '%s\n' "$said" >&2
        fail "could not make $venv: is the venv module installed (Debian: apt install python3-venv), and the folder writable?"
    }
    trap - INT TERM
}

# install EXTRAS: the package, editable, with its extras ("" for none), into .venv. Does nothing when nothing changed.
install() {
    venv=${VENV:-$root/.venv}
    python=$venv/bin/python
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || make_venv
    # pyproject.toml says all that is installed; the checkout's path matters because the package is editable.
    stamp=$venv/installed${1:+-$1}
    want="$root $(cksum <"$root/pyproject.toml")"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
        "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >/dev/null 2>&1 ||
            fail "$venv has no pip: remove it and start again"
        printf 'installing llm-pool%s into %s\n' "${1:+ [$1]}" "$venv" >&2
        (cd "$root" && "$python" -m pip install --quiet --disable-pip-version-check -e ".${1:+[$1]}") ||
            fail "could not install llm-pool: see what pip says above"
        printf '%s' "$want" >"$stamp"
    fi
}
