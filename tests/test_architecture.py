"""The design's rules, read from the source itself: who may import whom, where SQL lives, and that starting is quick."""

from __future__ import annotations

import ast
import graphlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

from errorbook import interfaces, plugins

SOURCE = ROOT / "src"
STAGES = ("select", "evaluate", "diagnose", "instruct", "verify", "train", "judge")
PURE = {"records", "interfaces", "errors", "checks", "stats"}
"""All that a stage may import: it gets values and protocols, not the run, its ledger or its plugins."""
FLOORS: tuple[frozenset[str], ...] = tuple(
    frozenset(floor.split())
    for floor in (
        "redact",
        "records errors version",
        "files",
        "stats interfaces plugins checks sandbox testing",
        "llm",
        " ".join((*STAGES, "strategies")),
        "noise_floor config",
        "ledger",
        "adapters",
        "importing",
        "setup",
        "corrections supply rewards",
        "report",
        "loop render",
        "exporting experiment",
        "web",
        "cli",
        "__main__",
    )
)
"""The rooms (folders, and files at the top) from the ground up. A room imports from lower floors."""
HEAVY = {
    "accelerate",
    "genai_prices",
    "gguf",
    "latex2mathml",
    "openvino",
    "openvino_genai",
    "peft",
    "ray",
    "scipy",
    "sklearn",
    "torch",
    "transformers",
}
OF_THE_SERVER = {"starlette", "uvicorn"}
PLUGINS = [
    (group.removeprefix("errorbook."), name, value)
    for group, entries in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"].items()
    for name, value in entries.items()
]
PROTOCOLS: dict[str, type] = {
    "tasks": interfaces.Task,
    "scorers": interfaces.Scorer,
    "targets": interfaces.Target,
    "instructors": interfaces.Instructor,
    "trainers": interfaces.Trainer,
    "retrievers": interfaces.Retriever,
    "sinks": interfaces.Sink,
}


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((SOURCE / "errorbook").rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def walk(node: ast.AST, *, typing_too: bool, functions_too: bool = True) -> Iterator[ast.AST]:
    """Every node below `node`, without the bodies that do not run on import where those are not asked for."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not functions_too:
            continue
        if is_typing_only(child) and not typing_too:
            assert isinstance(child, ast.If)
            for otherwise in child.orelse:
                yield otherwise
                yield from walk(otherwise, typing_too=typing_too, functions_too=functions_too)
            continue
        yield child
        yield from walk(child, typing_too=typing_too, functions_too=functions_too)


def imported(name: str, *, typing_too: bool, functions_too: bool = True) -> set[str]:
    """Dotted names that a module imports, `from a import b` as `a.b`, relative ones made absolute."""
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in walk(TREES[name], typing_too=typing_too, functions_too=functions_too):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def ours(names: set[str]) -> set[str]:
    """The modules of this project that the dotted names stand for."""
    found = set()
    for name in names:
        parts = name.split(".")
        candidates = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
        found.update([next((candidate for candidate in candidates if candidate in MODULES), "")])
    return found - {""}


GRAPH = {name: ours(imported(name, typing_too=False)) - {name} for name in MODULES}


def test_every_stage_is_there() -> None:
    missing = [stage for stage in STAGES if f"errorbook.{stage}" not in MODULES]

    assert not missing


def room_of(name: str) -> str:
    """The folder, or the file at the top, that a module belongs to; the package's face is a room of its own."""
    return name.split(".")[1] if "." in name else name


def arrows() -> dict[tuple[str, str], set[str]]:
    """Every import from one room to another, imports for the type checker included, with the modules it joins."""
    found: dict[tuple[str, str], set[str]] = {}
    for name in MODULES:
        for target in ours(imported(name, typing_too=True)):
            pair = room_of(name), room_of(target)
            if pair[0] != pair[1] and "errorbook" not in pair:
                found.setdefault(pair, set()).add(f"{name} -> {target}")
    return found


def test_every_room_stands_on_one_floor() -> None:
    rooms = {room_of(name) for name in MODULES} - {"errorbook"}

    assert sorted(room for floor in FLOORS for room in floor) == sorted(rooms)


def test_no_room_imports_from_its_own_floor_or_a_higher_one() -> None:
    floor_of = {room: place for place, floor in enumerate(FLOORS) for room in floor}

    assert [sorted(joined) for (room, target), joined in arrows().items() if floor_of[target] >= floor_of[room]] == []


def test_the_house_is_small_enough_to_hold_in_mind() -> None:
    files = [path for path in (SOURCE / "errorbook").glob("*.py") if path.name != "__init__.py"]
    rooms = {room_of(name) for name in MODULES}

    assert len(files) <= 20
    assert len(rooms) <= 40
    assert len(arrows()) <= 201


@pytest.mark.parametrize("name", MODULES)
def test_functions_and_files_stay_short(name: str) -> None:
    functions = (node for node in ast.walk(TREES[name]) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    long = {node.name: size for node in functions if (size := (node.end_lineno or 0) - node.lineno + 1) > 60}

    assert long == {}
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 450


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_records_interfaces_errors_checks_and_stats_only(stage: str) -> None:
    assert {room_of(name) for name in ours(imported(f"errorbook.{stage}", typing_too=True))} <= PURE


@pytest.mark.parametrize("name", [name for name in MODULES if room_of(name) in {"records", "errors"}])
def test_the_vocabulary_imports_nothing_else_of_ours(name: str) -> None:
    # Errors mask secrets in their sentences; `redact` stands on the ground and imports nothing of ours.
    below = {room_of(name)} | ({"redact"} if name == "errorbook.errors" else set())
    assert {room_of(other) for other in ours(imported(name, typing_too=True))} <= below


def test_interfaces_know_records_only() -> None:
    assert ours(imported("errorbook.interfaces", typing_too=True)) == {"errorbook.records"}


def folder_of(name: str) -> str:
    """The folder that a module lies in, in dotted form; files at the top lie in none and stand for themselves."""
    is_package = MODULES[name].name == "__init__.py"
    folder = name if is_package else name.rpartition(".")[0]
    return name if folder == "errorbook" else folder


def require_no_circle(graph: dict[str, set[str]]) -> None:
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail("import cycle: " + " -> ".join(error.args[1]))


def test_no_circle_of_files() -> None:
    require_no_circle(GRAPH)


def test_no_circle_of_folders() -> None:
    """Folders of every depth; what a file imports inside a function counts as well."""
    folders: dict[str, set[str]] = {}
    for name, targets in GRAPH.items():
        if name != "errorbook":  # the package's face loads its two functions on first use
            known = folders.setdefault(folder_of(name), set())
            known |= {folder_of(target) for target in targets} - {folder_of(name), "errorbook"}
    require_no_circle(folders)


def test_no_circle_in_the_benchmarks() -> None:
    files = {path.stem: path for path in (ROOT / "benchmarks").glob("*.py")}
    graph: dict[str, set[str]] = {}
    for stem, path in files.items():
        named = {
            part
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmarks")
            for part in [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        }
        graph[stem] = (named & set(files)) - {stem}
    require_no_circle(graph)


def test_only_the_ledger_speaks_sql() -> None:
    statement = re.compile(r"\b(SELECT\b.+\bFROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE|PRAGMA )", re.S)
    speakers = set()
    for name, tree in TREES.items():
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        drivers = {item.split(".")[0] for item in imported(name, typing_too=True)} & {"sqlite3", "sqlalchemy"}
        if drivers or any(statement.search(text) for text in texts):
            speakers.add(name)

    # The catalogue is a copy of the ledger to search in; the store of bought replies and that of remembered answers are
    # files of their own: no record of a run is in them.
    rooms = ("errorbook.ledger.", "errorbook.web.catalogue.")
    beside = {"errorbook.llm.store", "errorbook.adapters.targets.answer_cache"}
    assert {name for name in speakers if not name.startswith(rooms)} == beside


@pytest.mark.parametrize("name", MODULES)
def test_heavy_libraries_are_imported_inside_functions(name: str) -> None:
    on_import = imported(name, typing_too=False, functions_too=False)

    # Only `errorbook ui` imports `web`, inside its function.
    heavy = HEAVY if name.startswith("errorbook.web") else HEAVY | OF_THE_SERVER
    assert {item.split(".")[0] for item in on_import} & heavy == set()


@pytest.mark.parametrize("name", MODULES)
def test_modules_say_what_they_are_for(name: str) -> None:
    assert ast.get_docstring(TREES[name])


def test_tests_and_tools_of_ours_are_not_imported_by_the_package() -> None:
    strays = {name for name in MODULES for item in imported(name, typing_too=True) if item.startswith("tests")}

    assert strays == set()


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded after `code` has run in a fresh interpreter."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    reply = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    return set(json.loads(reply.stdout.splitlines()[-1]))


HELP = """
import sys
from errorbook.cli.main import main
sys.argv = ["errorbook", "--help"]
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
"""


@pytest.mark.parametrize(
    ("code", "most"), [("import errorbook", 40), (HELP, 130)], ids=["import", "help"]
)  # the work of starting, counted: its time depends on the machine
def test_starting_loads_few_modules(code: str, most: int) -> None:
    count = "import sys\nbefore = set(sys.modules)\n{}\nprint(len(set(sys.modules) - before))"
    command = [sys.executable, "-c", count.format(code)]
    reply = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)

    assert 0 < int(reply.stdout.splitlines()[-1]) <= most


@pytest.mark.parametrize("code", ["import errorbook", HELP], ids=["import", "help"])
def test_starting_loads_no_numerical_library(code: str) -> None:
    assert loaded_by(code) & (HEAVY | OF_THE_SERVER | {"numpy", "datasketch", "jinja2", "pydantic"}) == set()


@pytest.mark.parametrize(("kind", "name", "value"), PLUGINS, ids=[f"{kind}-{name}" for kind, name, _ in PLUGINS])
def test_built_in_plugins_load_and_have_their_protocols_methods(kind: Any, name: str, value: str) -> None:
    factory = plugins.load(kind, name)
    methods = {item for item, kept in vars(PROTOCOLS[kind]).items() if inspect.isfunction(kept) and item[0] != "_"}

    assert plugins.find(kind, name).value == value, "the installed entry points are stale: run 'make setup'"
    assert callable(factory)
    if inspect.isclass(factory):
        assert methods <= set(dir(factory))
