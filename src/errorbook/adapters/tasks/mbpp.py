"""MBPP: small Python functions with tests (Austin et al. 2021, arXiv 2108.07732).

The splits are the benchmark's own, by task id: 11 to 510 test, 511 to 600 dev (its validation), 601 to 974 train.
Rows are read in two shapes: the paper's (signature and docstring, `check(candidate)`; no reference program), and the
hub's (a sentence and asserts, with a reference program); the question is worded as the row words it. Metric: pass@1.
"""

from __future__ import annotations

import ast
import builtins
import textwrap
from collections.abc import Mapping
from typing import Any

from errorbook.adapters.tasks import wording
from errorbook.adapters.tasks.benchmark import BenchmarkOptions, Portion, Spec, benchmark, field
from errorbook.adapters.tasks.collection import Collection
from errorbook.adapters.tasks.items import Item
from errorbook.errors import DataError
from errorbook.plugins import Tokens
from errorbook.records import Split

_VALIDATION = range(511, 601)
_TRAIN = range(601, 975)


def _read(row: Mapping[str, Any], _: str) -> Item:
    item = _read_asserts(row) if "test_list" in row else _read_checked(row)
    return item._replace(id=field(row, "task_id"), part=_part(int(field(row, "task_id"))))


def _part(task_id: int) -> Split:
    return "train" if task_id in _TRAIN else "dev" if task_id in _VALIDATION else "test"


def _read_checked(row: Mapping[str, Any]) -> Item:
    tests = f"{field(row, 'test').rstrip()}\ncheck({field(row, 'entry_point')})"
    return Item(question=field(row, "prompt").strip(), answer="", tests=tests)


def _read_asserts(row: Mapping[str, Any]) -> Item:
    asserts = [str(test).strip() for test in row["test_list"]]
    name = _find_function(asserts[0] if asserts else "")
    body = textwrap.indent("\n".join([f"{name} = candidate", *asserts]), "    ")
    setup = str(row.get("test_setup_code") or "").strip()
    tests = "\n".join(part for part in (setup, f"def check(candidate):\n{body}", f"check({name})") if part)
    question = f"{field(row, 'text').strip()}\nThe function must pass this test:\n{asserts[0]}"
    return Item(question=question, answer=field(row, "code").replace("\r\n", "\n").strip(), tests=tests)


def _find_function(test: str) -> str:
    """The name of the function that an assert is about: the first one it calls that Python does not know itself."""
    try:
        calls = [node.func for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Call)]
    except SyntaxError as error:
        raise DataError(f"has a test that is not Python ({error.msg}); correct it") from error
    names = [call.id for call in calls if isinstance(call, ast.Name) and not hasattr(builtins, call.id)]
    if not names:
        raise DataError("has a test that calls no function; correct it")
    return names[0]


SPEC = Spec(
    name="mbpp",
    scorer="code",
    instruction=wording.PROGRAM,
    read=_read,
    files={"train": "train", "test": "test"},
    dataset="google-research-datasets/mbpp",
    portions=(Portion("train", "train", "full"), Portion("validation", "dev", "full"), Portion("test", "test", "full")),
    completion=wording.word_program,
)


def mbpp(path: str = "", dataset: str = "", revision: str = "", max_new_tokens: Tokens = 512) -> Collection:
    """MBPP: small Python functions, judged by tests."""
    return benchmark(SPEC, BenchmarkOptions(path, dataset, revision, max_new_tokens))
