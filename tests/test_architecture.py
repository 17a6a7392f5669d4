"""The design's rules, read from the source itself: who may import whom, where SQL lives, and that starting is quick."""

from __future__ import annotations

import ast
import graphlib
import inspect
import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from places import ROOT

from errorbook import interfaces, plugins

SOURCE = ROOT / "src"
STAGES = ("select", "evaluate", "diagnose", "instruct", "verify", "train", "judge")
# What a stage never reaches, not even through a helper: it gets values and protocols, not the run nor its plugins.
OF_THE_RUN = {
    "assemble",
    "cli",
    "compute",
    "config",
    "ledger",
    "loop",
    "opening",
    "plan",
    "plugins",
    "report",
    "scaffold",
    "exporting",
    "web",
}
BEYOND_A_STAGE = OF_THE_RUN | set(get_args(plugins.Kind))
HEAVY = {
    "accelerate",
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


def reached(name: str) -> set[str]:
    """What importing and running a module can pull in; its own typing imports count as knowledge, too."""
    waiting = sorted(ours(imported(name, typing_too=True)))
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(GRAPH[module])
    return seen


def test_every_stage_is_there() -> None:
    missing = [stage for stage in STAGES if f"errorbook.{stage}" not in MODULES]

    assert not missing


@pytest.mark.parametrize("stage", [stage for stage in STAGES if f"errorbook.{stage}" in MODULES])
def test_stages_know_only_records_interfaces_errors_and_pure_functions(stage: str) -> None:
    parts = {name: name.split(".")[1] for name in reached(f"errorbook.{stage}") if "." in name}
    forbidden = (BEYOND_A_STAGE | set(STAGES)) - {stage}

    assert sorted(name for name, part in parts.items() if part in forbidden) == []


@pytest.mark.parametrize("name", ["errorbook.records", "errorbook.errors"])
def test_the_vocabulary_imports_nothing_of_ours(name: str) -> None:
    assert ours(imported(name, typing_too=True)) == set()


def test_interfaces_know_records_only() -> None:
    assert ours(imported("errorbook.interfaces", typing_too=True)) == {"errorbook.records"}


def test_no_import_cycles() -> None:
    try:
        graphlib.TopologicalSorter(GRAPH).prepare()
    except graphlib.CycleError as error:
        pytest.fail("import cycle: " + " -> ".join(error.args[1]))


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


def best_of_five(*command: str) -> float:
    """Least wall time of five runs, in seconds: what the program costs when the machine is busy with nothing else."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        times.append(time.perf_counter() - start)
    return min(times)


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


def test_importing_the_package_is_quick() -> None:
    assert best_of_five(sys.executable, "-c", "import errorbook") < 0.3


def test_help_is_quick() -> None:
    assert best_of_five(str(Path(sys.executable).parent / "errorbook"), "--help") < 0.5


@pytest.mark.parametrize("code", ["import errorbook", HELP], ids=["import", "help"])
def test_starting_loads_no_numerical_library(code: str) -> None:
    assert loaded_by(code) & (HEAVY | OF_THE_SERVER | {"numpy", "datasketch", "jinja2"}) == set()


@pytest.mark.parametrize(("kind", "name", "value"), PLUGINS, ids=[f"{kind}-{name}" for kind, name, _ in PLUGINS])
def test_built_in_plugins_load_and_have_their_protocols_methods(kind: Any, name: str, value: str) -> None:
    factory = plugins.load(kind, name)
    methods = {item for item, kept in vars(PROTOCOLS[kind]).items() if inspect.isfunction(kept) and item[0] != "_"}

    assert plugins.find(kind, name).value == value, "the installed entry points are stale: run 'make setup'"
    assert callable(factory)
    if inspect.isclass(factory):
        assert methods <= set(dir(factory))
