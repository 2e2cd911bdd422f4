"""The page of the API asks nobody but the pool, runs nothing that is not its own, and can be kept by a browser."""

from __future__ import annotations

import gzip
import hashlib
import re
from html.parser import HTMLParser

import pytest

from llm_pool.edges.http import docs
from tests.running import SIM, Up, running_pool

PAGE = "docs.html"
OWN = ("docs.html", "docs.css", "docs.js")
VENDORED = ("swagger-ui.css", "swagger-ui-bundle.js")
ROUTES = {PAGE: "/docs", **{name: f"/docs/{name}" for name in docs.BESIDE}}


class Page(HTMLParser):
    """What a page refers to, and what it would run without a file."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.refers: list[str] = []
        self.inline: list[str] = []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        for name, value in attrs:
            if name in {"src", "href", "action", "srcset"}:
                self.refers.append(value or "")
            if name == "style" or name.startswith("on"):
                self.inline.append(name)

    def handle_data(self, data: str) -> None:
        if self._in in {"script", "style"} and data.strip():
            self.inline.append(data)


def own(name: str) -> str:
    return (docs.FILES / name).read_text(encoding="utf-8")


def test_the_page_refers_only_to_files_of_its_own() -> None:
    page = Page(own(PAGE))
    assert page.inline == []
    refers = set(page.refers) - {"data:,", "openapi.json"}
    # As a browser finds them from /docs, behind a proxy that puts a prefix before it, too.
    assert refers == {f"docs/{name}" for name in docs.BESIDE}


@pytest.mark.parametrize("name", OWN)
def test_no_file_of_ours_names_another_origin(name: str) -> None:
    text = re.sub(r"^//.*|/\*.*?\*/", "", own(name), flags=re.DOTALL | re.MULTILINE) if name != PAGE else own(name)
    assert not re.search(r"[a-z]+://|[\"'(]//", text)
    assert "validatorUrl: null" in own("docs.js")


def test_the_folder_holds_what_is_served_and_whose_it_is() -> None:
    served = {name if name in OWN else name + docs.ZIPPED for name in docs.TYPES}
    assert {path.name for path in docs.FILES.iterdir()} == served | {"swagger-ui.LICENSE"}


@pytest.mark.parametrize("name", VENDORED)
def test_swagger_ui_is_as_it_was_published(name: str) -> None:
    plain = gzip.decompress((docs.FILES / (name + docs.ZIPPED)).read_bytes())
    assert f"{hashlib.sha256(plain).hexdigest()}  {name}\n" in own("swagger-ui.LICENSE")


# --- Served -----------------------------------------------------------------------------------------------------


@pytest.mark.real_time
async def test_every_file_is_served_and_guarded() -> None:
    async with running_pool(SIM) as up:
        for name, path in ROUTES.items():
            async with up.http.get(path) as response:
                assert response.status == 200
                assert response.headers["Content-Type"] == docs.TYPES[name]
                told = {
                    word: rest for word, *rest in map(str.split, response.headers["Content-Security-Policy"].split(";"))
                }
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["x-request-id"]
            assert (
                told["default-src"] == told["base-uri"] == told["frame-ancestors"] == told["form-action"] == ["'none'"]
            )
            assert told["script-src"] == told["style-src"] == told["connect-src"] == ["'self'"]
            assert told["img-src"] == ["'self'", "data:"]
        lines = await up.lines(len(ROUTES))
        assert [line["route"] for line in lines] == list(ROUTES.values())


@pytest.mark.real_time
async def test_a_caller_gets_the_same_with_and_without_compression() -> None:
    """Whoever does not say that it takes gzip, or says that it does not, gets the plain file."""
    async with running_pool(SIM) as up:
        for name in VENDORED:
            plain, tag = await got(up, name, "identity", encoding=None)
            assert hashlib.sha256(plain).hexdigest() in own("swagger-ui.LICENSE")
            for accepts in ("", "br", "gzip;q=0", "gzip; q=0.000, br"):
                assert await got(up, name, accepts, encoding=None) == (plain, tag)
            for accepts in ("gzip", "br, GZIP", "deflate, gzip;q=0.5"):
                same, other = await got(up, name, accepts, encoding="gzip")
                assert same == plain
                assert other != tag
        assert (await got(up, PAGE, "gzip", encoding=None))[0] == own(PAGE).encode()


async def got(up: Up, name: str, accepts: str, *, encoding: str | None) -> tuple[bytes, str]:
    async with up.http.get(ROUTES[name], headers={"Accept-Encoding": accepts}) as response:
        assert response.headers.get("Content-Encoding") == encoding
        assert response.headers["Vary"] == "Accept-Encoding"
        return await response.read(), response.headers["ETag"]


@pytest.mark.real_time
async def test_a_browser_keeps_what_has_not_changed() -> None:
    async with running_pool(SIM) as up:
        for path in ROUTES.values():
            async with up.http.get(path) as response:
                assert response.headers["Cache-Control"] == "no-cache"
                tag = response.headers["ETag"]
            for known in (tag, f'"another", W/{tag}'):
                async with up.http.get(path, headers={"If-None-Match": known}) as response:
                    assert (response.status, await response.read()) == (304, b"")
                    assert response.headers["ETag"] == tag
            async with up.http.get(path, headers={"If-None-Match": '"another"'}) as response:
                assert response.status == 200


@pytest.mark.real_time
async def test_head_tells_of_the_page_without_it() -> None:
    async with running_pool(SIM) as up:
        for path in (*ROUTES.values(), "/openapi.json"):
            async with up.http.get(path) as whole, up.http.head(path) as response:
                assert (response.status, await response.read()) == (200, b"")
                assert response.headers["Content-Length"] == whole.headers["Content-Length"]


@pytest.mark.real_time
async def test_redoc_leads_to_the_page() -> None:
    async with running_pool(SIM) as up:
        async with up.http.get("/redoc", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (307, "/docs")
        async with up.http.get("/redoc") as response:
            assert (response.status, response.url.path) == (200, "/docs")


@pytest.mark.real_time
async def test_nothing_else_is_served() -> None:
    """A caller's path is never a path of ours; a Host of somebody else's gets nothing."""
    others = ("docs.html", "swagger-ui.LICENSE", "swagger-ui.css.gz", "", "nothing", "../server.py", "%2e%2e/server.py")
    async with running_pool(SIM) as up:
        for name in others:
            async with up.connect() as connection:
                await connection.say(b"GET /docs/%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % name.encode())
                assert (await connection.reply()).status == 404
        for path in ROUTES.values():
            async with up.http.get(path, headers={"Host": "evil.example.org"}) as response:
                assert response.status == 403
            async with up.http.post(path) as response:
                assert (response.status, response.headers["Allow"]) == (405, "GET,HEAD")
