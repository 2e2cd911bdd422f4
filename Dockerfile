# The pool as an image: small, not root, nothing to write. Docker (BuildKit), Podman and Buildah build it.
#
#   docker build -t llm-pool .
#   docker run --rm -p 127.0.0.1:7070:7070 -p 127.0.0.1:7071:7071 \
#       -e LLM_POOL_AUTH_MODE=off -e LLM_POOL_AUTH_ALLOW_ANONYMOUS_NETWORK=true llm-pool
#
# Inside, it listens on every address: a published port would not be reached otherwise. That is a network, and there is
# no authentication on it, so the pool refuses to start until both switches say that you mean it. They are not set here.
# Publish the ports on 127.0.0.1, as above, unless everybody who reaches this machine may call.
#
#   --read-only                        works: nothing is written
#   --env-file .env                    see .env.example, also for how to reach Ollama on the host
#   -v "$PWD/config:/etc/llm-pool:ro"  a directory with your llm-pool.toml (and prompts/). The directory, not the file:
#                                      it is the directory that is watched for changes, and a file that is mounted alone
#                                      stays the old one once an editor has replaced it
#   --stop-timeout 35                  draining takes drain_accept_ms + drain_ms, 30 s at most; Docker kills after 10 s
#
# Other containers call it by a name, which LLM_POOL_SERVER_ALLOWED_HOSTS must list. `scripts/test-image` builds this
# image and tries it.

ARG BASE=docker.io/library/python:3.11-slim

FROM ${BASE} AS build
WORKDIR /src
# Without pip: nothing is installed into it later.
RUN python -m venv --without-pip /opt/llm-pool
# The libraries first: this layer is kept until pyproject.toml changes. Only wheels: there is no compiler here. numpy
# brings its own tests along, 17 MB of them.
# An index of your own: --secret id=pip_conf,src=pip.conf; its authority: --secret id=ca,src=ca-certificates.crt
COPY pyproject.toml ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt,required=false \
    python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
        print(*project["dependencies"], sep="\n")' >requirements.txt && \
    pip --python /opt/llm-pool/bin/python install --no-cache-dir --no-compile --only-binary=:all: \
        -r requirements.txt && \
    find /opt/llm-pool -depth -type d -name tests -path '*/numpy/*' -exec rm -r {} +
COPY LICENSE README.md llm-pool.toml ./
COPY prompts prompts
COPY llm_pool llm_pool
# Compiled here, for a container that writes nothing; by hash, so that it does not matter what becomes of file times.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt,required=false \
    pip wheel --no-cache-dir --no-deps --wheel-dir /dist . && \
    pip --python /opt/llm-pool/bin/python install --no-cache-dir --no-compile --no-deps --no-index /dist/*.whl && \
    python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/llm-pool/lib

FROM ${BASE}
LABEL org.opencontainers.image.title="LLM Pool" \
      org.opencontainers.image.description="Makes many language models behave like one dependable model." \
      org.opencontainers.image.licenses="MIT"
ENV PATH=/opt/llm-pool/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LLM_POOL_SERVER_GRPC_ADDR=0.0.0.0:7070 \
    LLM_POOL_SERVER_HTTP_ADDR=0.0.0.0:7071
COPY --from=build /opt/llm-pool /opt/llm-pool
# The base has no bytecode of the standard library, and each start would compile it again: importing all that is ours
# keeps the part that is used. It also shows that nothing is missing here.
RUN useradd --uid 10001 --user-group --no-log-init --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin pool && \
    PYTHONDONTWRITEBYTECODE='' python -c 'import http.client, importlib, llm_pool, pkgutil; \
        names = [module.name for module in pkgutil.walk_packages(llm_pool.__path__, "llm_pool.")]; \
        [importlib.import_module(name) for name in names if name != "llm_pool.__main__"]'
# The pool takes ./llm-pool.toml where there is one, else the configuration that it came with.
WORKDIR /etc/llm-pool
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 7070 7071
STOPSIGNAL SIGTERM
# Whether the process answers, not whether its models do: no restart brings those back. At the port that it was given,
# and past any HTTP_PROXY. With the HTTP edge off: --no-healthcheck.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-IS", "-c", "import http.client, os; \
        port = os.environ['LLM_POOL_SERVER_HTTP_ADDR'].rpartition(':')[2]; \
        link = http.client.HTTPConnection('localhost', int(port), timeout=2); \
        link.request('GET', '/livez'); \
        raise SystemExit(link.getresponse().status != 200)"]
ENTRYPOINT ["llm-pool"]
CMD ["serve"]
