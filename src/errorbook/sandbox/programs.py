"""Finds the program in a response about code: by parsing Python, never by guessing at prose.

In order: the last fenced block that defines the function asked for, a fenced or bare function body that continues the
question's own stub, and bare code, also if prose stands around it. It judges nothing and runs nothing. What a model
wrote is parsed in a process of its own (`reading.py`), each text a bounded number of times.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
import textwrap
from typing import NamedTuple

from errorbook.sandbox import blame
from errorbook.sandbox.fences import find_fenced
from errorbook.sandbox.parsing import find_tree, parse_program

_STARTS = ("def ", "async def ", "class ", "import ", "from ", "@")
_CUTS = 50
"""How often a text that does not parse is cut before its first error and tried again, and from how many lines on."""
_LINES = 1000
"""Lines that are looked at for the beginning of a function that does not parse."""
LONGEST = 500_000
"""Characters of a response beyond which nothing is looked for."""
_KNOWN = frozenset(dir(builtins)) | {"__name__", "__file__"}
_UNKNOWN = """class _Unknown(type):
    __getattr__ = lambda self, name: self
    __getitem__ = __or__ = __ror__ = lambda self, item: self
"""


_NAME = r"[`'\"]?\w+[`'\"]?"
_CLASSES = (
    re.compile(
        rf"(?i:\b(?:data)?class(?:es)?\s+(?:named\s+|called\s+)?)"
        rf"{_NAME}(?:\s*(?:,\s*and\b|,|\band\b)\s*{_NAME})*"
    ),
    re.compile(r"[`'\"]?\b[A-Z]\w*[`'\"]?\s+(?:data)?class\b"),
)
"""Where a question names the classes that it asks for: "the classes Shape and Circle", "a Vector class"."""


class Program(NamedTuple):
    """What to run: `parts` in order, in one namespace. `code` is what the response gave, `method` how it was found."""

    parts: tuple[str, ...]
    code: str
    method: str


class Asked(NamedTuple):
    """What tests and question say of a program: the function under test, other names, and which of them are classes."""

    entry: str
    names: tuple[str, ...]
    classes: tuple[str, ...]
    tests: str


def read_tests(tests: str, question: str) -> Asked:
    """What the tests are about, with the call of `check` if they only define it; no `entry` if that is unclear."""
    tree = parse_program(tests)
    if tree is None:
        return Asked("", (), (), tests)
    entry = find_entry_point(tests, question)
    words = set(re.findall(r"\w+", question))
    free = blame.find_free(tree)
    names = tuple(name for name in free if name in words and name != entry)
    spoken = {
        word for form in _CLASSES for match in form.finditer(question) for word in re.findall(r"\w+", match.group())
    }
    classes = tuple(name for name in (entry, *names) if name in spoken)
    calls = [node.value for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    called = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    uncalled = "check" not in called and _binds(tree, "check") and entry
    return Asked(entry, names, classes, f"{tests}\ncheck({entry})\n" if uncalled else tests)


def write_nothing(tests: str, entry: str) -> str:
    """A program that defines what the tests ask for and does nothing; names that look like modules are left out."""
    tree = parse_program(tests)
    if tree is None:
        return ""
    bases = [node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    read = {base.id for base in bases if isinstance(base, ast.Name)}
    others = [name for name in blame.find_free(tree) if name != entry]
    names = [entry, *(name for name in others if name[0].isupper() or name not in read)]
    as_class = "class {0}(Exception):\n    def __init__(self, *args, **kwargs): pass\n"
    as_function = "def {0}(*args, **kwargs): return None\n"
    return "".join((as_class if name[:1].isupper() else as_function).format(name) for name in names)


def find_entry_point(tests: str, question: str) -> str:
    """The function under test: what `check(...)` is called with, else what the tests call; empty if unclear."""
    tree = parse_program(tests)
    if tree is None:
        return ""
    checked = _checked(tree)
    if checked is not None:
        return checked.id if isinstance(checked, ast.Name) else ""
    return _last_function(find_prelude(question, "")) if _binds(tree, "check") else _asserted(tree, question)


def _checked(tree: ast.Module) -> ast.expr | None:
    """What the last `check(...)` is called with: `total` in `check(total)`."""
    for statement in reversed(tree.body):
        match statement:
            case ast.Expr(ast.Call(ast.Name("check"), [checked, *_])):
                return checked
    return None


def _last_function(code: str) -> str:
    """The name of the last function that the code defines: `total` in `def total(items): ...`."""
    tree = parse_program(code)
    return next((item.name for item in reversed(tree.body if tree else []) if isinstance(item, ast.FunctionDef)), "")


def _asserted(tree: ast.Module, question: str) -> str:
    """The first function of somebody else that the tests call: in an assertion, else anywhere; the question's first."""
    free = blame.find_free(tree)
    asserted = [node.test for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    inside = [name for test in asserted for name in _list_called(test) if name in free]
    found = [*inside, *(name for name in _list_called(tree) if name in free), *free]
    words = set(re.findall(r"\w+", question))
    return next((name for name in found if name in words), found[0] if found else "")


def _list_called(tree: ast.AST) -> list[str]:
    called = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called.append(node.func.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            called += [item.id for item in node.decorator_list if isinstance(item, ast.Name)]
    return called


def find_prelude(question: str, entry: str) -> str:
    """The question's own code, imports and helpers included; what stands before the stub if the whole is no code."""
    text = textwrap.dedent(question)
    if _is_code(text):
        return text
    head = text.partition(f"def {entry}(")[0] if entry else ""
    return head if _is_code(head) else ""


def complete_stub(question: str, entry: str) -> str:
    """Code that gives a question's stub the names that it uses and nobody defines, or an empty text.

    Modules and types of the library are imported. Other names can only be meant as types: they stand for nothing.
    """
    given = find_prelude(question, entry) or _find_stub(question, entry)
    tree = parse_program(given)
    if tree is None:
        return ""
    bound, lines, unknown = blame.find_bound(tree) | _KNOWN, [], []
    import typing

    for name in dict.fromkeys(_list_needed(tree)):
        if name in bound:
            continue
        if name in typing.__all__:
            lines.append(f"from typing import {name}")
        elif name in sys.stdlib_module_names:
            lines.append(f"import {name}")
        elif name != entry:
            unknown.append(f"class {name}(metaclass=_Unknown): pass")
    return "\n".join([*lines, *([_UNKNOWN, *unknown] if unknown else []), ""]) if lines or unknown else ""


def _list_needed(tree: ast.Module) -> list[str]:
    """Names that the definitions of a stub need to be run: in annotations, defaults, decorators and bases."""
    needed: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            needed += [*node.decorator_list, node.args, *([node.returns] if node.returns else [])]
        elif isinstance(node, ast.ClassDef):
            needed += [*node.decorator_list, *node.bases]
        elif isinstance(node, ast.AnnAssign):
            needed.append(node.annotation)
    return [part.id for node in needed for part in ast.walk(node) if isinstance(part, ast.Name)]


def _find_stub(question: str, entry: str) -> str:
    """The first line of the function in a question that is prose, with a body."""
    line = next((line.strip() for line in question.split("\n") if line.strip().startswith(f"def {entry}(")), "")
    return f"{line} ..." if line.endswith(":") else ""


def find_program(text: str, question: str, entry: str) -> Program | None:
    """The response's program, or None if it holds no code."""
    if len(text) > LONGEST:
        return None
    given, missing = find_prelude(question, entry), complete_stub(question, entry)
    blocks = find_fenced(text)
    for block in reversed(blocks):
        if defines(block, entry):
            kept = _drop_last_words(block)
            return Program((missing, given, kept), kept, "fenced code")
    joined = "\n\n".join(blocks)
    if len(blocks) > 1 and defines(joined, entry):
        return Program((missing, given, joined), joined, "fenced code")
    for body in [*blocks, *([] if blocks else [text])]:
        continued = _continue(question, body, entry)
        if continued is not None:
            return Program((missing, f"{question.rstrip()}\n{continued}"), continued, "continuation")
    if blocks:
        return Program((missing, given, blocks[-1]), blocks[-1], "fenced code")
    bare = _drop_last_words(_bare(text, entry))
    return Program((missing, given, bare), bare, "bare code") if bare else None


def _drop_last_words(code: str) -> str:
    """`code` without last lines that happen to parse and are none: "[DONE]", "Done", "Output: correct".

    Such a line computes nothing, at the top level, from names that nobody defines.
    """
    tree = parse_program(code)
    if tree is None:
        return code
    free = set(blame.find_free(tree))
    kept = list(tree.body)
    while kept and _is_remark(kept[-1], free):
        kept.pop()
    if len(kept) in {0, len(tree.body)}:
        return code
    return "\n".join(code.split("\n")[: kept[-1].end_lineno]) + "\n"


def _is_remark(statement: ast.stmt, free: set[str]) -> bool:
    noted = isinstance(statement, ast.AnnAssign) and statement.value is None
    if not (noted or isinstance(statement, ast.Expr)):
        return False
    parts = list(ast.walk(statement))
    works = any(isinstance(part, ast.Call | ast.Await | ast.Yield | ast.NamedExpr) for part in parts)
    return not works and any(isinstance(part, ast.Name) and part.id in free for part in parts)


def defines(code: str, name: str) -> bool:
    """Whether the code binds `name` at its top level; for code that does not parse, whether a line begins to."""
    tree = parse_program(code)
    if tree is not None:
        return _binds(tree, name)
    starts = (f"def {name}(", f"async def {name}(", f"class {name}(", f"class {name}:")
    return any(line.startswith(starts) for line in code.split("\n"))


def _binds(tree: ast.Module, name: str) -> bool:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return True
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return True
        if isinstance(node, ast.Import | ast.ImportFrom) and any((a.asname or a.name) == name for a in node.names):
            return True
    return False


def _is_code(text: str) -> bool:
    tree = parse_program(text)
    return tree is not None and any(not isinstance(node, ast.Expr) for node in tree.body)


def _continue(question: str, body: str, entry: str) -> str | None:
    """The longest beginning of `body`, an indented text, that continues the question's stub."""
    question = question.rstrip() + "\n"
    stub = parse_program(question)
    first = next((line for line in body.split("\n") if line.strip()), "")
    if stub is None or not entry or not _binds(stub, entry):
        return None
    if not first.startswith((" ", "\t", '"""', "'''")):
        if _binds(parse_program(body) or ast.Module([], []), entry) or not _is_body(body):
            return None
        body = textwrap.indent(body, "    ")
    before = sum(1 for _ in ast.walk(stub))
    lines = body.split("\n")
    outer = [number for number, line in enumerate(lines) if line.strip() and not line.startswith((" ", "\t"))]
    ends, above = [len(lines), *reversed(outer)], question.count("\n")
    for _ in range(_CUTS):
        kept = "\n".join(lines[: ends[0]]).rstrip() + "\n" if ends else ""
        tree = find_tree(question + kept) if kept else 0
        if isinstance(tree, ast.Module):
            if sum(1 for _ in ast.walk(tree)) > before:
                return _drop_last_words(question + kept)[len(question) :]
            break
        # Nothing that goes on to the line of the error can be parsed; the stub itself is no error.
        ends = [end for end in ends[1:] if tree == 0 or end < tree - above]
    # A body with a syntax error: prose neither is indented nor begins with a docstring.
    return body if first.startswith(("    ", "\t")) or first.strip().startswith(('"""', "'''")) else None


def _is_body(text: str) -> bool:
    """Whether unindented text is the inside of a function: only there may it return."""
    tree = parse_program("def body():\n" + textwrap.indent(text, "    "))
    return tree is not None and any(isinstance(node, ast.Return) for node in ast.walk(tree))


def _bare(text: str, entry: str) -> str:
    """Code without fences: from the first line that starts a statement to the last with which the whole parses."""
    lines = textwrap.dedent(text).lstrip().split("\n")
    starts = [number for number, line in enumerate(lines) if line.startswith(_STARTS)]
    after = tried = 0
    for start in starts:
        if start < after or tried == _CUTS:
            continue
        tried += 1
        tree, end = _longest_start(lines, start)
        if tree is not None and _binds(tree, entry):
            return "\n".join(lines[start:end]) + "\n"
        after = end
    broken = next((n for n in starts[:_LINES] if defines("\n".join(lines[n : n + 1]) + " ...", entry)), None)
    return "" if broken is None else "\n".join(lines[broken:]) + "\n"


def _longest_start(lines: list[str], start: int) -> tuple[ast.Module | None, int]:
    """The longest part from one line on that parses, and where it ends.

    No part that goes on to the line of an error can be parsed, so each try ends before the last one's error.
    """
    end = len(lines)
    for _ in range(_CUTS):
        if end <= start:
            break
        found = find_tree("\n".join(lines[start:end]))
        if isinstance(found, ast.Module):
            return found, end
        end = min(end - 1, start + found - 1) if found > 0 else end - 1
    return None, start + 1
