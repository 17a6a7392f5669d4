"""The documents keep their word: Python blocks run, run files parse, commands, options, targets and links exist.

Pages that are followed from top to bottom are the business of test_docs_snippets, the site of test_docs_site.
"""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from docs_kit import DOCUMENTS, SHELLS, Piece, blocks, prose
from places import ROOT

from errorbook import config, plugins
from errorbook.verify import REASONS


def fenced(document: Path, *languages: str) -> Iterator[Piece]:
    """The blocks of some languages that are not a file of their own."""
    for block in blocks(document):
        if block.language in languages and "." not in block.title:
            yield Piece(block.place, block.text)


def commands() -> Iterator[Piece]:
    """Every command line of ours: in shell blocks and in inline code."""
    for document in DOCUMENTS:
        lines = [Piece(place, line) for place, text in fenced(document, *SHELLS) for line in joined(text)]
        inline = [Piece(str(document.relative_to(ROOT)), code) for code in re.findall(r"`([^`\n]+)`", prose(document))]
        for place, text in [*lines, *inline]:
            bare = re.sub(r"^(\$ )?(time )?(\.venv/bin/)?", "", text.strip())
            if bare.split(" ")[0] in {"errorbook", "make"}:
                yield Piece(place, bare)


def joined(text: str) -> list[str]:
    return text.replace("\\\n", " ").splitlines()


def run_files() -> list[Piece]:
    shown = [piece for document in DOCUMENTS for piece in fenced(document, "toml")]
    shipped = [*ROOT.glob("examples/*.toml"), *ROOT.glob("src/errorbook/*.toml")]
    return shown + [Piece(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in sorted(shipped)]


def program() -> click.Group:
    from errorbook.cli.main import cli

    return cli


def problem(words: list[str]) -> str:
    """What is wrong with the words after `errorbook`, read off the command itself; empty where nothing is."""
    group = program()
    context = click.Context(group)
    command: click.Command | None = group
    if words and not words[0].startswith("-"):
        command = group.get_command(context, words[0])
    if command is None:
        return f"there is no command '{words[0]}'; known: {', '.join(group.list_commands(context))}"
    if isinstance(command, click.Group) and len(words) > 1 and command is not group:
        command = command.get_command(context, words[1]) or command
    options = [param for param in command.get_params(context) if isinstance(param, click.Option)]
    known = {spelling for option in options for spelling in (*option.opts, *option.secondary_opts)}
    return ", ".join(f"there is no option {word}" for word in given_options(words) if word not in known)


def given_options(words: list[str]) -> list[str]:
    return [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]


def cut(text: str) -> list[str]:
    """The words of one command line, up to a comment, a pipe or a redirection."""
    words = shlex.split(re.sub(r"[\[\]…]", " ", text), comments=True)
    stops = (index for index, word in enumerate(words) if word in {"|", "&&", "||", ";", ">", "2>", "&"})
    return words[: next(stops, len(words))]


COMMANDS = sorted(set(commands()))
OURS = [piece for piece in COMMANDS if piece.text.startswith("errorbook ")]
TARGETS = [piece for piece in COMMANDS if piece.text.startswith("make ")]


@pytest.mark.parametrize("piece", OURS, ids=lambda piece: f"{piece.place} {piece.text}")
def test_commands_in_documents_exist(piece: Piece) -> None:
    assert problem(cut(piece.text)[1:]) == ""


@pytest.mark.parametrize("piece", TARGETS, ids=lambda piece: f"{piece.place} {piece.text}")
def test_make_targets_in_documents_exist(piece: Piece) -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))

    assert {word for word in cut(piece.text)[1:] if "=" not in word} <= known


@pytest.mark.parametrize("piece", run_files(), ids=lambda piece: piece.place)
def test_run_files_parse(piece: Piece) -> None:
    assert config.parse(piece.text, source=piece.place).learn()


def test_entry_points_in_documents_are_of_known_kinds() -> None:
    shown = [block for document in DOCUMENTS for block in blocks(document) if block.title == "pyproject.toml"]
    groups = {group for piece in shown for group in tomllib.loads(piece.text)["project"]["entry-points"]}

    assert groups
    assert groups <= {f"errorbook.{kind}" for kind in get_args(plugins.Kind)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_in_documents_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose(document))
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]

    assert [target for target in local if not (document.parent / target).exists()] == []


SELF_CONTAINED = [
    block
    for document in DOCUMENTS
    for block in blocks(document)
    if block.language == "python" and not block.title and document.name != "python.md"
]


@pytest.mark.parametrize("block", SELF_CONTAINED, ids=lambda block: block.place)
def test_python_in_documents_runs(block: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    exec(compile(block.text, block.place, "exec"), {"__name__": "shown"})


def test_the_table_of_gains_is_what_its_program_prints() -> None:
    page = ROOT / "docs" / "howto" / "sizes.md"
    [program] = [block.text for block in blocks(page) if block.title == "gains.py"]

    reply = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)

    table = re.findall(r"^\| \d cycles? \| (.+) \|$", page.read_text(encoding="utf-8"), re.M)
    assert len(table) == 3
    assert [re.findall(r"\d+\.\d", row) for row in table] == [line.split()[1:] for line in reply.stdout.splitlines()]


def sources() -> str:
    """All literal text of the program, strings that are written in parts put together."""
    texts: list[str] = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (str(part.value) if isinstance(part, ast.Constant) else "\n" for part in node.values)
                texts.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_error_messages_in_documents_are_the_programs_own() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    messages = [row.split("|")[1].strip().strip("`") for row in page.splitlines() if row.startswith("| `")]
    literal = sources()

    parts = [part.strip(" '") for message in messages for part in message.split("…")]

    assert len(messages) > 15
    assert [part for part in parts if part.strip(" '.") and part not in literal] == []


def test_the_words_of_fates_are_the_programs_own() -> None:
    from errorbook.render.words import FATE_MEANING

    page = (ROOT / "docs" / "howto" / "book.md").read_text(encoding="utf-8")

    assert [fate for fate in FATE_MEANING if f"| {fate.replace('_', ' ')} | " not in page] == []


def annotated() -> list[Any]:
    """The plugins that documents show: whole modules with type annotations."""
    pages = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "howto").glob("*.md"))]
    shown = [block for page in pages for block in blocks(page) if block.language == "python"]
    return [block for block in shown if "errorbook.interfaces" in block.text]


@pytest.mark.slow
def test_the_plugins_in_documents_satisfy_the_protocols(tmp_path: Path) -> None:
    files = []
    for number, block in enumerate(annotated()):
        files.append(tmp_path / (block.title or f"shown_{number}.py"))
        files[-1].write_text(block.text, encoding="utf-8")

    reply = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *map(str, files)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert len(files) == 5
    assert reply.returncode == 0, reply.stdout


def test_the_page_of_verification_explains_every_reason_in_its_order() -> None:
    page = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
    table = page.partition("| Reason | What is wrong |")[2].partition("\n\n")[0]

    assert re.findall(r"^\| `(\w+)`", table, re.M) == list(REASONS)
