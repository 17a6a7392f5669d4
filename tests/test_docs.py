"""The documents keep their word: Python blocks run, run files parse, commands, options, targets and links exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import click
import pytest

from errorbook import config, plugins

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)
SHELLS = {"sh", "bash", "shell", "console"}


class Piece(NamedTuple):
    """Something that a document shows, and where."""

    place: str
    text: str


def blocks(document: Path, *languages: str) -> Iterator[Piece]:
    text = document.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        if match[1] in languages:
            line = text.count("\n", 0, match.start()) + 1
            yield Piece(f"{document.relative_to(ROOT)}:{line}", match[2])


def commands() -> Iterator[Piece]:
    """Every command line of ours: in shell blocks and in inline code."""
    for document in DOCUMENTS:
        lines = [Piece(place, line) for place, text in blocks(document, *SHELLS) for line in joined(text)]
        prose = FENCE.sub("", document.read_text(encoding="utf-8"))
        inline = [Piece(str(document.relative_to(ROOT)), code) for code in re.findall(r"`([^`\n]+)`", prose)]
        for place, text in [*lines, *inline]:
            bare = re.sub(r"^(\$ )?(time )?(\.venv/bin/)?", "", text.strip())
            if bare.split(" ")[0] in {"errorbook", "make"}:
                yield Piece(place, bare)


def joined(text: str) -> list[str]:
    return text.replace("\\\n", " ").splitlines()


def run_files() -> list[Piece]:
    shown = [piece for document in DOCUMENTS for piece in blocks(document, "toml") if "[project" not in piece.text]
    shipped = [*ROOT.glob("examples/*.toml"), *ROOT.glob("src/errorbook/*.toml")]
    return shown + [Piece(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in sorted(shipped)]


def program() -> click.Group:
    from errorbook import cli

    return next(item for item in vars(cli).values() if isinstance(item, click.Group))


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
    shown = [piece for document in DOCUMENTS for piece in blocks(document, "toml") if "[project" in piece.text]
    groups = {group for piece in shown for group in tomllib.loads(piece.text)["project"]["entry-points"]}

    assert groups
    assert groups <= {f"errorbook.{kind}" for kind in get_args(plugins.Kind)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_in_documents_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", FENCE.sub("", document.read_text(encoding="utf-8")))
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]

    assert [target for target in local if not (document.parent / target).exists()] == []


def contributing() -> str:
    return "\n".join(piece.text for piece in blocks(ROOT / "CONTRIBUTING.md", "python"))


def test_the_examples_of_contributing_run() -> None:
    names: dict[str, Any] = {"__name__": "contributing"}

    exec(compile(contributing(), "CONTRIBUTING.md", "exec"), names)

    assert {"task", "scorer", "instructor", "target"} <= names.keys()


def test_the_example_instructor_of_contributing_repeats_a_mistake() -> None:
    names: dict[str, Any] = {"__name__": "contributing"}
    exec(compile(contributing(), "CONTRIBUTING.md", "exec"), names)
    from errorbook.evaluate import evaluate, identify
    from errorbook.records import Assignment, Mistake

    task, example = names["task"], names["example"]
    evaluation = identify(names["target"], "base", task, "train", [example])
    [[response]] = evaluate(names["target"], task, names["scorer"], evaluation, [example])
    mistake = Mistake(example=example, response=response, strategy="error")
    [(_, diagnosis, _)] = names["instructor"].diagnose([mistake])
    assignment = Assignment(task=task.name, index=0, count=2, mistake=mistake, diagnosis=diagnosis)
    [(_, drafts, _)] = names["instructor"].write([assignment])

    assert response.score.verdict == "wrong"
    assert [draft.answer for draft in drafts] == ["enots", "enots"]


@pytest.mark.slow
def test_the_examples_of_contributing_satisfy_the_protocols(tmp_path: Path) -> None:
    (tmp_path / "contributing.py").write_text(contributing(), encoding="utf-8")

    reply = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "contributing.py")],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert reply.returncode == 0, reply.stdout
