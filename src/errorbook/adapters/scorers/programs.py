"""Finds the program in a response about code: by parsing Python, never by guessing at prose.

In order: the last fenced block that defines the function asked for, a fenced or bare function body that continues the
question's own stub, and bare code, also if prose stands around it. It judges nothing and runs nothing.
"""

from __future__ import annotations

import ast
import builtins
import textwrap

import msgspec

_STARTS = ("def ", "async def ", "class ", "import ", "from ", "@")


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: `parts` in order, in one namespace. `code` is what the response gave, `method` how it was found."""

    parts: tuple[str, ...]
    code: str
    method: str


def find_entry_point(tests: str, question: str) -> str:
    """The function under test: what `check(...)` is called with, else what the assertions call; empty if unclear."""
    tree = parse_program(tests)
    if tree is None:
        return ""
    checked = _checked(tree)
    if checked is not None:
        return checked.id if isinstance(checked, ast.Name) else ""
    return _last_function(find_prelude(question, "")) if _binds(tree, "check") else _asserted(tree)


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


def _asserted(tree: ast.Module) -> str:
    """The first function of somebody else that an assertion calls: `total` in `assert total([1, 2]) == 3`."""
    asserted = [node.test for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    called = [node.func for test in asserted for node in ast.walk(test) if isinstance(node, ast.Call)]
    return next((func.id for func in called if isinstance(func, ast.Name) and _is_free(func.id, tree)), "")


def find_prelude(question: str, entry: str) -> str:
    """The question's own code, imports and helpers included; what stands before the stub if the whole is no code."""
    text = textwrap.dedent(question)
    if _is_code(text):
        return text
    head = text.partition(f"def {entry}(")[0] if entry else ""
    return head if _is_code(head) else ""


def find_program(text: str, question: str, entry: str) -> Program | None:
    """The response's program, or None if it holds no code."""
    given = find_prelude(question, entry)
    blocks = find_fenced(text)
    for block in reversed(blocks):
        if defines(block, entry):
            return Program(parts=(given, block), code=block, method="fenced code")
    joined = "\n\n".join(blocks)
    if len(blocks) > 1 and defines(joined, entry):
        return Program(parts=(given, joined), code=joined, method="fenced code")
    for body in [*blocks, *([] if blocks else [text])]:
        continued = _continue(question, body, entry)
        if continued is not None:
            whole = f"{question.rstrip()}\n{continued}"
            return Program(parts=(whole,), code=continued, method="continuation")
    if blocks:
        return Program(parts=(given, blocks[-1]), code=blocks[-1], method="fenced code")
    bare = _bare(text, entry)
    return Program(parts=(given, bare), code=bare, method="bare code") if bare else None


def find_fenced(text: str) -> list[str]:
    """Contents of the fenced code blocks; one that is not closed runs to the end. Blocks of other languages count."""
    blocks: list[str] = []
    mark, lines = "", [""]
    for line in text.split("\n"):
        stripped = line.strip()
        if mark and stripped.startswith(mark) and not stripped.strip(mark[0]):
            blocks.append(_tidy(lines))
            mark = ""
        elif mark:
            lines.append(line)
        elif stripped.startswith(("```", "~~~")):
            if len(stripped) > 6 and stripped.endswith(stripped[:3]):  # a block on one line
                blocks.append(_tidy([stripped[3:-3]]))
                continue
            mark, lines = stripped[:3], []
    if mark:
        blocks.append(_tidy(lines))
    return [block for block in blocks if block.strip()]


def defines(code: str, name: str) -> bool:
    """Whether the code binds `name` at its top level; for code that does not parse, whether a line begins to."""
    tree = parse_program(code)
    if tree is not None:
        return _binds(tree, name)
    starts = (f"def {name}(", f"async def {name}(", f"class {name}(", f"class {name}:")
    return any(line.startswith(starts) for line in code.split("\n"))


def parse_program(code: str) -> ast.Module | None:
    """The syntax tree, or None if the code does not parse."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as an invalid escape sequence in the model's string
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


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


def _is_free(name: str, tree: ast.Module) -> bool:
    return not hasattr(builtins, name) and not _binds(tree, name)


def _is_code(text: str) -> bool:
    tree = parse_program(text)
    return tree is not None and any(not isinstance(node, ast.Expr) for node in tree.body)


def _tidy(lines: list[str]) -> str:
    code = textwrap.dedent("\n".join(lines).expandtabs(8) if any("\t" in line for line in lines) else "\n".join(lines))
    return code if code.endswith("\n") else code + "\n"


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
    before = len(ast.dump(stub))
    lines = body.split("\n")
    outer = [number for number, line in enumerate(lines) if line.strip() and not line.startswith((" ", "\t"))]
    for end in [len(lines), *reversed(outer)]:
        kept = "\n".join(lines[:end]).rstrip() + "\n"
        tree = parse_program(question + kept)
        if tree is not None and len(ast.dump(tree)) > before:
            return kept
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
    for start in starts:
        for end in range(len(lines), start, -1):
            code = "\n".join(lines[start:end])
            tree = parse_program(code)
            if tree is not None and _binds(tree, entry):
                return code + "\n"
    broken = next((n for n in starts if defines("\n".join(lines[n : n + 1]) + " ...", entry)), None)
    return "" if broken is None else "\n".join(lines[broken:]) + "\n"
