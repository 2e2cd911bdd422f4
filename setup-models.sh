#!/bin/sh
# Fetch the models of the default configuration into Ollama; those that are there already are left alone.
set -u

defaults='phi3:mini llama3.1:8b gemma2:9b'

usage() {
    cat <<END
usage: ./setup-models.sh [MODEL...]

Fetches models into Ollama: the ones named, or those of the default
configuration: $defaults.
What is there already is not fetched again.

  ./setup-models.sh
  ./setup-models.sh qwen2.5:3b mistral

OLLAMA_HOST says where Ollama listens, as for Ollama itself.
Exit codes: 0 all are there, 1 some could not be fetched, 2 wrong usage,
3 Ollama is not installed or its server does not answer, 130 interrupted.
END
}

for argument in "$@"; do
    case $argument in
        -h | --help)
            usage
            exit 0
            ;;
        -* | '')
            printf 'setup-models.sh: no such option: "%s"; see --help\n' "$argument" >&2
            exit 2
            ;;
    esac
done
# shellcheck disable=SC2086 # one word for each model
[ $# -gt 0 ] || set -- $defaults

if ! command -v ollama >/dev/null 2>&1; then
    printf '%s\n' 'setup-models.sh: Ollama is not installed: get it from https://ollama.com/download, then run this again' >&2
    exit 3
fi
if ! listed=$(ollama list 2>/dev/null); then
    printf '%s\n' "setup-models.sh: Ollama's server does not answer${OLLAMA_HOST:+ at $OLLAMA_HOST}: start it with \"ollama serve\", then run this again" >&2
    exit 3
fi
# The first column, without its heading. Case does not count.
installed=$(printf '%s\n' "$listed" | awk 'NR > 1 { print tolower($1) }')

there() {
    name=$(printf '%s' "$1" | tr '[:upper:]' '[:lower:]')
    case ${name##*/} in
        *:*) ;;
        *) name=$name:latest ;;
    esac
    printf '%s\n' "$installed" | grep -Fqx -e "$name"
}

trap 'printf "\nstopped: what has been fetched need not be fetched again\n" >&2; exit 130' INT TERM

before='' fetched='' failed=''
for model in "$@"; do
    if there "$model"; then
        printf '%s: is there already\n' "$model"
        before="$before $model"
        continue
    fi
    printf '%s: fetching\n' "$model"
    if ollama pull "$model"; then
        fetched="$fetched $model"
    else
        printf 'setup-models.sh: %s could not be fetched\n' "$model" >&2
        failed="$failed $model"
    fi
done

printf '\n'
[ -z "$before" ] || printf 'there before:%s\n' "$before"
[ -z "$fetched" ] || printf 'fetched:%s\n' "$fetched"
if [ -n "$failed" ]; then
    printf 'not fetched:%s\n' "$failed" >&2
    exit 1
fi
printf 'all models are there. A pool that is running finds them by itself; else start it: ./scripts/start\n'
