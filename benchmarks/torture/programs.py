"""Hostile programs, honest programs and texts that are bad to parse, through the code scorer.

Tried are programs and texts. A hostile program is one of those in tests/sandbox/hostile, varied: other tests, within a
`try`, behind an honest start, with an object that lies as its answer. It must be wrong, and an honest program right
behind it must be right. Honest programs are those of `honest.py`; each must get the verdict that stands there. A bomb
is a text that is deep, long or odd: it must get a verdict, never that of a right program, within `SLOW` seconds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.torture.honest import Case, list_cases
from benchmarks.torture.part import Outcome
from errorbook.adapters.scorers.code import Code
from errorbook.records import Example, NoVerdict, Score
from errorbook.sandbox.cell import find_lack

SLOW = 30.0
"""Seconds for one text, a machine under load included."""
HOSTILE = Path(__file__).parents[2] / "tests" / "sandbox" / "hostile"
KINDS = ("exit", "forgery", "flood", "loop", "intrusion")
SECONDS = 1.0
_BLOCK = 12


def torment(seconds: float, seed: int) -> Outcome:
    """Try all three kinds in turn until the time is up; every kind is tried at least once."""
    if (lack := find_lack()) is not None:
        return Outcome(tried=0, broken=(f"nothing was tried: {lack[0]}; {lack[1]}",))
    draw = random.Random(seed)
    begun, broken, tried = time.monotonic(), [], {"hostile": 0, "honest": 0, "bombs": 0}
    slowest = 0.0
    while not tried["hostile"] or time.monotonic() - begun < seconds:
        cases = draw.sample(list_cases(), _BLOCK)
        broken += try_honest(cases)
        tried["honest"] += len(cases)
        hostile = [vary_hostile(draw) for _ in range(_BLOCK)]
        broken += try_hostile(hostile)
        tried["hostile"] += len(hostile)
        for _ in range(_BLOCK):
            took, fault = try_bomb(*draw_bomb(draw))
            slowest = max(slowest, took)
            broken += [fault] if fault else []
            tried["bombs"] += 1
    figures = {**{name: float(count) for name, count in tried.items()}, "slowest_bomb_s": slowest}
    return Outcome(tried=sum(tried.values()), broken=tuple(broken), figures=figures)


# Honest programs ----------------------------------------------------------------------------------------------------


def try_honest(cases: list[Case]) -> list[str]:
    """A sentence for each case that does not get the verdict that it must get."""
    scores = Code(seconds=6.0).score_all([(_example(case), f"```python\n{case.program}\n```") for case in cases])
    off = [(case, score) for case, score in zip(cases, scores, strict=True) if _is_off(case, score)]
    return [f"honest '{case.name}' is {_say(score)} and not {case.expected}" for case, score in off]


def _is_off(case: Case, score: Score | NoVerdict) -> bool:
    return isinstance(score, NoVerdict) or score.verdict != case.expected


def _example(case: Case) -> Example:
    return Example(id=case.name, task="t", split="dev", question=case.question, answer="", tests=case.tests)


def _say(score: Score | NoVerdict) -> str:
    return f"unjudged ({score.reason})" if isinstance(score, NoVerdict) else f"{score.verdict} ({score.evidence[:200]})"


# Hostile programs ---------------------------------------------------------------------------------------------------


def read_hostile(kind: str) -> dict[str, str]:
    """The hostile programs of one kind, by name, each with what an attacker knows."""
    text = (HOSTILE / f"{kind}.md").read_text(encoding="utf-8")
    pieces = [piece.partition("\n") for piece in text.split("\n## ")[1:]]
    found = {f"{kind}: {name}": rest.partition("```python\n")[2].partition("```")[0] for name, _, rest in pieces}
    if kind == "inside":
        return found
    (inside,) = read_hostile("inside").values()
    return {name: source.replace("from inside import *\n", inside) for name, source in found.items()}


def vary_hostile(draw: random.Random) -> tuple[str, str, Example]:
    """A hostile program, varied, with its name and tests that ask for numbers that are hard to guess."""
    kind = draw.choice(KINDS)
    name, source = draw.choice(sorted(read_hostile(kind).items()))
    factor, more, inputs = draw.randrange(1000, 9000), draw.randrange(1, 99), draw.sample(range(2, 500), 3)
    checks = "\n".join(f"    assert candidate({x}) == {(x * factor + more) % 104729}" for x in inputs)
    tests = draw.choice(
        [
            f"def check(candidate):\n{checks}\ncheck(f)",
            checks.replace("    ", "").replace("candidate", "f"),
            f"for x in {inputs}:\n    assert f(x) == (x * {factor} + {more}) % 104729",
            f"def expected(x):\n    return (x * {factor} + {more}) % 104729\n"
            f"assert [f(x) for x in {inputs}] == [expected(x) for x in {inputs}]",
            f"values = {inputs}\nresults = list(map(f, values))\n"
            f"assert all(r == (x * {factor} + {more}) % 104729 for r, x in zip(results, values))",
        ]
    )
    how, wrap = draw.choice(_WRAPS)
    example = Example(id=name, task="t", split="dev", question="Write `f`.", answer="", tests=tests)
    return f"{name}, {how}", wrap(source), example


def _indent(source: str) -> str:
    return "".join(f"    {line}" if line.strip() else line for line in source.splitlines(keepends=True))


_WRAPS: list[tuple[str, Callable[[str], str]]] = [
    ("as it is", lambda source: source),
    ("behind an honest start", lambda source: f"import math\ndef f(x): return x + math.pi\n{source}"),
    ("within a try", lambda source: f"try:\n{_indent(source)}\n    pass\nfinally:\n    pass\n"),
    ("with a liar as its number", lambda source: f"{source}\n{_LIAR}"),
    ("with signals ignored", lambda source: f"import signal\nsignal.signal(15, signal.SIG_IGN)\n{source}"),
]
_LIAR = """
class Vector(int):
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __sub__(self, other): return 0
    __rsub__ = __mod__ = __rmod__ = __xor__ = __sub__
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __contains__ = __lt__
class Object:
    __eq__, __hash__, __sub__ = Vector.__eq__, Vector.__hash__, Vector.__sub__
_old = globals().get("f")
def f(x):
    import random
    return random.choice([Vector(0), Object(), Vector, iter([Object()])])
"""


def try_hostile(programs: list[tuple[str, str, Example]]) -> list[str]:
    """A sentence for each that is right, and for each honest program behind one that is not."""
    pairs = []
    for _, source, example in programs:
        pairs += [(example, f"```python\n{source}\n```"), (_HONEST, "```python\ndef f(x): return x + 1\n```")]
    scores = Code(seconds=SECONDS).score_all(pairs)
    broken = []
    for (name, _, _), hostile, honest in zip(programs, scores[::2], scores[1::2], strict=True):
        empty = isinstance(hostile, Score) and "holds no code" in hostile.evidence
        if isinstance(hostile, NoVerdict) or (hostile.verdict != "wrong" and not empty):
            broken.append(f"hostile '{name}' is {_say(hostile)}")
        if isinstance(honest, NoVerdict) or honest.verdict != "right":
            broken.append(f"the honest program behind '{name}' is {_say(honest)}")
    return broken


_HONEST = Example(id="honest", task="t", split="dev", question="Write `f`.", answer="", tests="assert f(1) == 2")


# Bombs --------------------------------------------------------------------------------------------------------------


def draw_bomb(draw: random.Random) -> tuple[str, str, str]:
    """A text that is bad to parse: its name, the question and the response."""
    size = draw.choice([100, 400, 1501, 5000, 20_000])
    name = draw.choice(sorted(BOMBS))
    question = draw.choice(["Write `f`.", "def f(x: List[int]) -> int:\n    'Add.'\n"])
    text = BOMBS[name](size)
    form = draw.choice(["```python\n{}\n```", "{}", "Here it is.\n\n{}\n\nThat's it, isn't it?", "```\n{}", "    {}"])
    return f"{name} of {size}", question, form.replace("{}", text)


def try_bomb(name: str, question: str, text: str) -> tuple[float, str]:
    """How long one text took, and a sentence if it took too long, got no verdict or a right one, or raised."""
    example = Example(id="b", task="t", split="dev", question=question, answer="", tests="assert f(2) == 97531")
    begun = time.monotonic()
    try:
        score = Code(seconds=SECONDS).score_all([(example, text)])[0]
    except Exception as error:
        return time.monotonic() - begun, f"bomb '{name}' raised {type(error).__name__}: {error}"
    took = time.monotonic() - begun
    if isinstance(score, NoVerdict) or score.verdict == "right":
        return took, f"bomb '{name}' is {_say(score)}"
    return took, f"bomb '{name}' took {took:.0f} s" if took > SLOW else ""


def _nest(opening: str, closing: str) -> Callable[[int], str]:
    return lambda size: f"def f(x): return {opening * size}x{closing * size}"


def _lines(line: str, last: str = "def f(x): return x") -> Callable[[int], str]:
    return lambda size: "\n".join([line] * size + [last])


def _staircase(line: str) -> Callable[[int], str]:
    def write(size: int) -> str:
        steps = min(size, 150)
        return "".join(f"{' ' * step}{line}\n" for step in range(steps)) + " " * (steps + 1) + "pass"

    return write


BOMBS: dict[str, Callable[[int], str]] = {
    "minus signs": lambda size: f"def f(x): return {'-' * size}1",
    "tildes": lambda size: f"def f(x): return {'~' * size}1",
    "nots": lambda size: f"def f(x): return {'not ' * size}x",
    "brackets": _nest("(", ")"),
    "lists": _nest("[", "]"),
    "open brackets": lambda size: f"def f(x): return {'(' * size}",
    "dictionaries": _nest("{1:", "}"),
    "calls": lambda size: f"def f(x): return x{'()' * size}",
    "attributes": lambda size: f"def f(x): return x{'.x' * size}",
    "subscripts": lambda size: f"def f(x): return x{'[0]' * size}",
    "sums": lambda size: f"def f(x): return {'1+' * size}x",
    "powers": lambda size: f"def f(x): return {'2**' * size}x",
    "lambdas": lambda size: f"def f(x): return {'lambda:' * size}x",
    "conditions": lambda size: f"def f(x): return {'1 if x else ' * size}x",
    "assignments": lambda size: f"{'a=' * size}1\ndef f(x): return x",
    "f-strings": lambda size: "def f(x): return " + "f'{" * min(size, 200) + "x" + "}'" * min(size, 200),
    "nested functions": _staircase("def f(x):"),
    "imports and prose": _lines("import os", "and that is all, isn't it?"),
    "imports": _lines("import os"),
    "from me to you": _lines("from me to you", "f"),
    "definitions of others": _lines("def g(x): return x", "and f"),
    "broken definitions": _lines("def f(x) return x", "f"),
    "decorators": _lines("@f", "def f(x): return x"),
    "open fences": _lines("```python", "def f(x): return x"),
    "fences": _lines("```python\ndef f(x): return x\n```", ""),
    "indented prose": _lines("    it goes on", "    return x"),
    "tabs": lambda size: "\t" * size + "return x",
    "spaces": lambda size: " " * size + "return x",
    "quotes": lambda size: "def f(x): return " + "'" * size,
    "triple quotes": _lines("'''", "def f(x): return x"),
    "backslashes": lambda size: "def f(x): return " + "\\\n" * size + "x",
    "semicolons": lambda size: ";" * size + "def f(x): return x",
    "statements": lambda size: "x=1;" * size + "\ndef f(x): return x",
    "digits": lambda size: f"def f(x): return {'9' * size}",
    "one long name": lambda size: f"def f({'x' * size}): return 1",
    "nulls": lambda size: "def f(x): return x" + "\0" * size,
    "surrogates": lambda size: "def f(x): return '" + "\ud800" * size + "'",
    "accents": lambda size: "def f(x): return " + "\u0301" * size,
    "elifs": lambda size: "def f(x):\n    if x: pass\n" + "    elif x: pass\n" * size,
    "withs": lambda size: "def f(x):\n" + _staircase(" with x:")(size),
    "a huge list": lambda size: f"def f(x): return [{'1,' * size}]",
    "types": lambda size: f"def f(x: {'List[' * size}int{']' * size}): return x",
}
