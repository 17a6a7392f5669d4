"""The built site: strict, without a dead link or anchor, and without a request to anybody else's server."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote, urlsplit

import msgspec
import pytest
from browser_kit import accessible, chromium, page, reflows, served  # noqa: F401 - `page` asks for `served`
from docs_kit import environment
from places import ROOT
from playwright.sync_api import Page

from errorbook import config, plugins

__all__ = ["chromium", "page"]
SHOWN = ("index", "tutorial/index", "howto/book", "howto/task", "method", "reference/run-file", "reference/cli", "faq")
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""What a browser fetches by itself: links that a reader may click are not among them."""


class Found(HTMLParser):
    """Ids, links and fetched addresses of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.fetched: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        if tag in LOADING and values.get("rel") not in {"prev", "next"}:
            self.fetched.add(values.get(LOADING[tag], ""))


def hook() -> Any:
    path = ROOT / "docs" / "hooks" / "reference.py"
    spec = spec_from_file_location("reference_hook", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["reference_hook"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it; any warning stops the build."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    reply = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**environment(folder.parent), "NO_MKDOCS_2_WARNING": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert reply.returncode == 0, reply.stderr
    return folder


@pytest.fixture(scope="module")
def parsed(site: Path) -> dict[Path, Found]:
    pages = {}
    for path in sorted(site.rglob("*.html")):
        found = Found()
        found.feed(path.read_text(encoding="utf-8"))
        pages[path] = found
    return pages


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """The test's own output is enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_the_run_files_page_explains_every_key_of_every_section() -> None:
    found = {section.title.strip("[]"): [key.name for key in section.keys] for section in hook().sections()}

    sections = {field.name: get_args(field.type) or (field.type,) for field in msgspec.structs.fields(config.Config)}
    assert list(found) == list(sections)
    for name, (section, *_) in sections.items():
        assert found[name] == [key for key in section.__struct_fields__ if key != "options"]


def test_every_meaning_belongs_to_a_key() -> None:
    reference = hook()
    known = {
        f"{prefix}{key}"
        for kind in get_args(plugins.Kind)
        for name in plugins.names(kind)
        for key in plugins.list_options(kind, name)
        for prefix in ("", f"{name}.")
    }

    meanings = tomllib.loads(reference.MEANINGS.read_text(encoding="utf-8"))

    assert sorted(meanings["options"].keys() - known) == []


def test_every_option_of_every_plugin_is_explained() -> None:
    reference = hook()

    for kind in reference.TITLES.keys() & set(get_args(plugins.Kind)):
        for name in plugins.names(kind):
            explained = {key.name for key in reference.options(kind, name)}
            assert explained == plugins.list_options(kind, name).keys() - reference.OWN
            assert all(key.meaning for key in reference.options(kind, name))


def test_a_key_without_a_meaning_stops_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = hook()
    meanings = tomllib.loads(reference.MEANINGS.read_text(encoding="utf-8"))
    del meanings["run-file"]["train"]["rank"]
    monkeypatch.setattr(reference, "_meanings", lambda: meanings)

    with pytest.raises(KeyError, match="what the key 'rank' of the run file is for"):
        list(reference.sections())


@pytest.mark.slow
def test_the_page_of_commands_has_every_option_and_nothing_of_the_librarys_own(site: Path) -> None:
    from errorbook.cli.main import cli

    page = (site / "reference" / "cli.html").read_text(encoding="utf-8")

    options = {spelling for command in cli.commands.values() for param in command.params for spelling in param.opts}
    assert [option for option in options if option.startswith("--") and option not in page] == []
    assert "UNSET" not in page


@pytest.mark.slow
def test_programs_find_every_page_in_one_list(site: Path) -> None:
    text = (site / "llms.txt").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[[^\]]+\]\(([^)]+)\): \S", text, re.M)

    assert {str(path.relative_to(site)) for path in site.rglob("*.html")} - {"404.html"} == set(listed)
    assert text.startswith("# Errorbook\n\n> ")


def test_every_command_prints_json_and_its_schema_is_in_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    from errorbook.cli.main import cli

    monkeypatch.syspath_prepend(str(ROOT / "docs" / "hooks"))
    outputs = import_module("outputs")
    page = outputs.on_page_markdown(outputs.MARK)
    told = {name for title in outputs.OUTPUTS for name in re.sub(r" [A-Z-].*| show", "", title).split(", ")}
    commands = {name for name, command in cli.commands.items() if any("--json" in each.opts for each in command.params)}

    assert set(cli.commands) - commands == {"ui"}, "which is a server"
    assert told == commands
    assert page.count('"$ref"') >= len(outputs.OUTPUTS)


@pytest.mark.slow
def test_every_link_and_anchor_of_the_site_leads_somewhere(site: Path, parsed: dict[Path, Found]) -> None:
    dead = []
    for path, found in parsed.items():
        for link in found.links | found.fetched:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchors = parsed[target].ids if target in parsed else set()
            if not target.exists() or (parts.fragment and target.suffix == ".html" and parts.fragment not in anchors):
                dead.append(f"{path.relative_to(site)}: {link}")

    assert len(parsed) > 25
    assert sorted(set(dead)) == []


@pytest.mark.slow
def test_no_page_and_no_style_asks_for_another_host(site: Path, parsed: dict[Path, Found]) -> None:
    asked = {f"{path.name}: {url}" for path, found in parsed.items() for url in found.fetched if "//" in url}
    styles = {
        f"{path.name}: {url}"
        for path in site.rglob("*.css")
        for url in re.findall(r"(?:url\(|@import )[\"']?(?!data:)((?:https?:)?//[^\"')]+)", path.read_text("utf-8"))
    }

    assert asked | styles == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_a_page_is_readable_wide_and_narrow_light_and_dark(name: str, address: str, page: Page) -> None:
    page.goto(f"{address}/{name}.html")
    page.wait_for_load_state("networkidle")

    assert page.locator("h1").count() == 1
    reflows(page)
    accessible(page)


@pytest.mark.slow
def test_search_finds_a_key_of_the_run_file(address: str, page: Page) -> None:
    page.goto(f"{address}/index.html")
    page.keyboard.press("/")
    page.keyboard.type("samples_per_error")

    page.locator(".md-search-result__item a[href*='run-file']").first.wait_for()
