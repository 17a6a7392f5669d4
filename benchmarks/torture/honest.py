"""Honest programs and their tests, of many kinds, with the verdict that one would wish.

A case is a heading, the program, a line of three dashes, and the tests. The question asks for `f`, unless a line
`? ...` begins the case. Cases stand under the verdict that they must get.
"""

from __future__ import annotations

from typing import NamedTuple

from errorbook.records import Verdict


class Case(NamedTuple):
    """One program with its tests, and the verdict that it must get."""

    name: str
    question: str
    program: str
    tests: str
    expected: Verdict


RIGHT = """
# in place: a statement
def f(x): x.sort()
---
x = [3, 1, 2]; f(x); assert x == [1, 2, 3]

# in place: the result is kept
def f(x): x.sort()
---
x = [3, 1, 2]
result = f(x)
assert result is None
assert x == [1, 2, 3]

# in place: in the assertion
def f(x): x.reverse()
---
x = [1, 2, 3]
assert f(x) is None and x == [3, 2, 1]

# in place: within check
def f(x): x.sort(reverse=True)
---
def check(candidate):
    items = [1, 3, 2]
    candidate(items)
    assert items == [3, 2, 1]
check(f)

# in place: a dictionary
def f(d, key): d[key] = d.get(key, 0) + 1
---
counts = {}
for word in "a b a".split():
    f(counts, word)
assert counts == {"a": 2, "b": 1}

# in place: rows of a matrix
def f(m):
    for row in m:
        row.reverse()
---
row = [1, 2]
m = [row, [3, 4]]
f(m)
assert m == [[2, 1], [4, 3]]
assert row == [2, 1]

# in place: a keyword
def f(items, extra): items.append(extra)
---
items = []
f(items=items, extra=3)
assert items == [3]

# in place: set, deque and bytearray
def f(s, q, b): s.add(1); q.appendleft(2); b.append(3)
---
from collections import deque
s, q, b = set(), deque([1]), bytearray(b"a")
f(s, q, b)
assert s == {1} and q == deque([2, 1]) and b == bytearray(b"a\\x03")

# in place: through a helper of the tests
def f(x): x.sort()
---
def run(x):
    f(x)
    return x
assert run([2, 1]) == [1, 2]

# in place: the same list comes back
def f(x):
    x.sort()
    return x
---
x = [2, 1]
y = f(x)
assert y is x

# in place: a method changes its argument
class f:
    def drain(self, x): x.clear()
---
x = [1, 2]
f().drain(x)
assert x == []

# an argument is left as it was
def f(x): return sorted(x)
---
x = [3, 1, 2]
assert f(x) == [1, 2, 3]
assert x == [3, 1, 2]

# a copy comes back
def f(x): return list(x)
---
x = [1, 2]
y = f(x)
assert y == x and y is not x

# is: None, True and False
def f(x): return None if x == 0 else x > 0
---
assert f(0) is None
assert f(1) is True
assert f(-1) is not True and f(-1) is False

# is: one object each time
class Only: pass
one = Only()
def f(): return one
---
assert f() is f()

# is: a memory of lists
memory = {}
def f(n): return memory.setdefault(n, [n])
---
assert f(1) is f(1)
assert f(1) is not f(2)

# is: a new object each time
class Thing: pass
def f(): return Thing()
---
assert f() is not f()

# is: members of an enumeration
from enum import Enum
class Color(Enum):
    RED = 1
    BLUE = 2
def f(n): return Color(n)
---
assert f(1) is Color.RED
assert f(2) is not Color.RED
assert f(2).name == "BLUE" and Color.BLUE.value == 2

# async: run
async def f(x): return x * 2
---
import asyncio
assert asyncio.run(f(2)) == 4

# async: awaited by the tests
import asyncio
async def f(x):
    await asyncio.sleep(0)
    return x + 1
---
import asyncio
async def main():
    assert await f(1) == 2
    assert await asyncio.gather(f(1), f(2)) == [2, 3]
asyncio.run(main())

# async: a task with a time limit
async def f(x): return x
---
import asyncio
async def main():
    task = asyncio.create_task(f(3))
    assert await asyncio.wait_for(task, timeout=5) == 3
asyncio.run(main())

# async: a loop
async def f(): return "done"
---
import asyncio
loop = asyncio.new_event_loop()
assert loop.run_until_complete(f()) == "done"

# async: a generator
async def f(n):
    for i in range(n):
        yield i
---
import asyncio
async def main():
    return [i async for i in f(3)]
assert asyncio.run(main()) == [0, 1, 2]

# async: an exception
async def f(x): raise ValueError("no")
---
import asyncio
try:
    asyncio.run(f(1))
    assert False
except ValueError as error:
    assert str(error) == "no"

# async: a context manager
class f:
    async def __aenter__(self): return 5
    async def __aexit__(self, *error): return False
---
import asyncio
async def main():
    async with f() as five:
        assert five == 5
asyncio.run(main())

# async: a context manager sees the program's exception
class f:
    def __init__(self): self.seen = ""
    def fail(self): raise ValueError("low")
    async def __aenter__(self): return self
    async def __aexit__(self, kind, error, trace):
        self.seen = str(error)
        return isinstance(error, ValueError) and error.args == ("low",)
---
import asyncio
async def main():
    manager = f()
    async with manager:
        manager.fail()
    assert manager.seen == "low"
    async with manager:
        pass
    assert manager.seen == "None"
asyncio.run(main())

# async: a context manager is told the class of the tests' exception
class f:
    async def __aenter__(self): return self
    async def __aexit__(self, kind, error, trace): return kind is KeyError
---
import asyncio
async def main(kind):
    async with f():
        raise kind("a")
asyncio.run(main(KeyError))
try:
    asyncio.run(main(LookupError))
    assert False
except LookupError:
    pass

# async: an assertion that a context manager expects to fail
async def f(x): return x
---
import asyncio
class Expects:
    async def __aenter__(self): return self
    async def __aexit__(self, kind, error, trace): return kind is AssertionError
async def main():
    async with Expects():
        assert await f(1) == 2
    assert await f(3) == 3
asyncio.run(main())

# a group of exceptions: an assertion that a handler catches
def f(x): return x
---
caught = False
try:
    assert f(1) == 2
except* AssertionError:
    caught = True
assert caught and f(2) == 2

# a group of exceptions: the program's is caught
def f(x): raise TypeError("no")
---
try:
    f(1)
    assert False
except* (ValueError, TypeError) as group:
    assert str(group.exceptions[0]) == "no"

# operators: addition and equality
? Write a class Vector with addition.
class Vector:
    def __init__(self, x, y): self.x, self.y = x, y
    def __add__(self, other): return Vector(self.x + other.x, self.y + other.y)
    def __eq__(self, other): return (self.x, self.y) == (other.x, other.y)
---
assert Vector(1, 2) + Vector(3, 4) == Vector(4, 6)
assert Vector(1, 2) != Vector(1, 3)

# operators: with a number
? Write a class Vector that can be scaled.
class Vector:
    def __init__(self, x): self.x = x
    def __mul__(self, n): return Vector(self.x * n)
    __rmul__ = __mul__
---
assert (Vector(2) * 3).x == 6
assert (3 * Vector(2)).x == 6

# operators: unary
? Write a class Vector.
class Vector:
    def __init__(self, x): self.x = x
    def __neg__(self): return Vector(-self.x)
    def __abs__(self): return abs(self.x)
    def __bool__(self): return self.x != 0
    def __int__(self): return self.x
    def __float__(self): return float(self.x)
---
assert (-Vector(2)).x == -2 and abs(Vector(-3)) == 3
assert not Vector(0) and Vector(1)
assert int(Vector(4)) == 4 and float(Vector(4)) == 4.0

# operators: order
? Write a class Version that can be compared.
from functools import total_ordering
@total_ordering
class Version:
    def __init__(self, n): self.n = n
    def __eq__(self, other): return self.n == other.n
    def __lt__(self, other): return self.n < other.n
---
assert Version(1) < Version(2) and Version(3) >= Version(3)
assert max(Version(1), Version(5)).n == 5
assert [v.n for v in sorted([Version(2), Version(1)])] == [1, 2]

# operators: texts
? Write a class Point with __str__ and __repr__.
class Point:
    def __init__(self, x): self.x = x
    def __str__(self): return f"({self.x})"
    def __repr__(self): return f"Point({self.x})"
---
assert str(Point(1)) == "(1)" and repr(Point(1)) == "Point(1)"
assert f"{Point(2)}" == "(2)" and repr([Point(1)]) == "[Point(1)]"

# operators: a container
? Write a class Bag.
class Bag:
    def __init__(self): self.items = {}
    def __setitem__(self, key, value): self.items[key] = value
    def __getitem__(self, key): return self.items[key]
    def __delitem__(self, key): del self.items[key]
    def __contains__(self, key): return key in self.items
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
---
bag = Bag()
bag["a"] = 1
bag["b"] = 2
del bag["a"]
assert bag["b"] == 2 and len(bag) == 1 and "b" in bag and "a" not in bag and list(bag) == ["b"]

# operators: sets of objects
? Write a frozen dataclass Point.
from dataclasses import dataclass
@dataclass(frozen=True)
class Point:
    x: int
    y: int
---
assert len({Point(1, 2), Point(1, 2), Point(2, 1)}) == 2
assert {Point(1, 2): "a"}[Point(1, 2)] == "a"

# operators: in place
? Write a class Counter2.
class Counter2:
    def __init__(self, n): self.n = n
    def __iadd__(self, other): self.n += other; return self
---
c = Counter2(1)
c += 4
assert c.n == 5

# operators: a call
? Write a class Adder.
class Adder:
    def __init__(self, n): self.n = n
    def __call__(self, x): return self.n + x
---
assert Adder(2)(3) == 5 and callable(Adder(1))

# a context manager
class f:
    closed = False
    def __enter__(self): return self
    def __exit__(self, *error): f.closed = True
---
with f() as c:
    assert not c.closed
assert f.closed

# a context manager from the library
from contextlib import contextmanager
log = []
@contextmanager
def f():
    log.append("in")
    yield 7
    log.append("out")
---
with f() as seven:
    assert seven == 7
assert log == ["in", "out"]

# a dataclass
? Write a dataclass Point.
from dataclasses import dataclass
@dataclass
class Point:
    x: int
    y: int = 0
---
assert Point(1) == Point(1, 0)
p = Point(1)
p.x = 4
assert p.x == 4

# inheritance
? Write the classes Shape, Circle and Square.
class Shape:
    def area(self): raise NotImplementedError
class Circle(Shape):
    def __init__(self, r): self.r = r
    def area(self): return 3 * self.r
class Square(Circle):
    pass
---
assert isinstance(Circle(1), Shape) and issubclass(Square, Shape) and not isinstance(Shape(), Circle)
assert Circle(2).area() == 6 and type(Circle(1)).__name__ == "Circle"
try:
    Shape().area()
    assert False
except NotImplementedError:
    pass

# properties and class methods
? Write a class Account.
class Account:
    made = 0
    def __init__(self): self._n = 0; Account.made += 1
    @property
    def balance(self): return self._n
    @balance.setter
    def balance(self, n):
        if n < 0: raise ValueError("negative")
        self._n = n
    @classmethod
    def open(cls): return cls()
    @staticmethod
    def rate(): return 2
---
a = Account.open()
a.balance = 5
assert a.balance == 5 and Account.made == 1 and Account.rate() == 2
try:
    a.balance = -1
    assert False, "no error"
except ValueError:
    pass
assert hasattr(a, "balance") and not hasattr(a, "owner")

# a named tuple
from collections import namedtuple
Point = namedtuple("Point", "x y")
def f(): return Point(1, 2)
---
p = f()
assert p == (1, 2) and p.x == 1 and p.y == 2 and p._asdict() == {"x": 1, "y": 2}

# a named tuple inside a list
from typing import NamedTuple
class Row(NamedTuple):
    name: str
    n: int = 0
def f(): return [Row("a")]
---
assert f()[0].name == "a" and f() == [("a", 0)]

# a function of the tests is called
def f(g, items): return [g(x) for x in items]
---
assert f(lambda x: x + 1, [1, 2]) == [2, 3]
def double(x):
    return x * 2
assert f(double, [1, 2]) == [2, 4]

# functions are composed
def f(*functions):
    def run(x):
        for g in functions: x = g(x)
        return x
    return run
---
assert f(lambda x: x + 1, lambda x: x * 10)(1) == 20

# a key function
def f(items, key): return sorted(items, key=key)
---
assert f(["bb", "a"], key=len) == ["a", "bb"]
assert f([1, 2, 3], key=lambda x: -x) == [3, 2, 1]

# a function that notes its calls
def f(g, n):
    for i in range(n): g(i)
---
calls = []
f(calls.append, 3)
assert calls == [0, 1, 2]
f(lambda i: calls.append(i * 10), 1)
assert calls == [0, 1, 2, 0]

# a decorator
import functools
def f(g):
    memory = {}
    @functools.wraps(g)
    def inner(n):
        if n not in memory: memory[n] = g(n)
        return memory[n]
    return inner
---
calls = []
@f
def square(n):
    calls.append(n)
    return n * n
assert square(3) == 9 and square(3) == 9
assert calls == [3]
assert square.__name__ == "square"

# a function that raises is tried again
def f(g, times):
    for i in range(times):
        try: return g()
        except ValueError: pass
    raise RuntimeError("gave up")
---
left = [2]
def flaky():
    left[0] -= 1
    if left[0] > 0: raise ValueError("again")
    return "ok"
assert f(flaky, 3) == "ok"
def never(): raise ValueError("never")
try:
    f(never, 2)
    assert False
except RuntimeError as error:
    assert str(error) == "gave up"

# an error of the tests' function comes through
def f(g): return g()
---
try:
    f(lambda: 1 / 0)
    assert False
except ZeroDivisionError:
    pass

# a generator as an argument
def f(items): return sum(items)
---
assert f(x * x for x in range(4)) == 14
assert f(iter([1, 2])) == 3
assert f(map(int, ["1", "2"])) == 3

# an object of the tests
def f(shape): return shape.area() * 2
---
class Square:
    def __init__(self, side): self.side = side
    def area(self): return self.side ** 2
assert f(Square(3)) == 18

# a partial function
def f(a, b): return a - b
---
from functools import partial, reduce
assert partial(f, 10)(3) == 7
assert list(map(f, [3, 4], [1, 1])) == [2, 3] and reduce(f, [9, 1, 2]) == 6

# an exception of its own
class TooSmall(ValueError):
    def __init__(self, n):
        super().__init__(f"{n} is too small")
        self.n = n
def f(n):
    if n < 1: raise TooSmall(n)
    return n
---
try:
    f(0)
    assert False
except TooSmall as error:
    assert error.n == 0 and str(error) == "0 is too small"
try:
    f(-1)
    assert False
except ValueError:
    pass
assert issubclass(TooSmall, ValueError)

# the arguments of an exception
def f(key): raise KeyError(key)
---
try:
    f("a")
    assert False
except KeyError as error:
    assert error.args == ("a",) and str(error) == "'a'"

# a deliberate exit
import sys
def f(): sys.exit(3)
---
try:
    f()
    assert False
except SystemExit as error:
    assert error.code == 3

# the end of an iterator
class f:
    def __init__(self, n): self.n = n
    def __iter__(self): return self
    def __next__(self):
        if self.n == 0: raise StopIteration
        self.n -= 1
        return self.n
---
it = iter(f(2))
assert next(it) == 1 and next(it) == 0
try:
    next(it)
    assert False
except StopIteration:
    pass
assert list(f(3)) == [2, 1, 0] and next(f(0), "none") == "none"

# a generator that is sent to
def f():
    total = 0
    while True:
        x = yield total
        total += x
---
g = f()
next(g)
assert g.send(5) == 5 and g.send(2) == 7
g.close()

# a generator is a generator
def f(n):
    yield from range(n)
---
import types
from collections.abc import Iterator
assert isinstance(f(2), types.GeneratorType) and isinstance(f(2), Iterator)
assert sorted(f(3)) == [0, 1, 2]

# what is printed
def f(n):
    for i in range(n): print(i)
---
import io
from contextlib import redirect_stdout
out = io.StringIO()
with redirect_stdout(out):
    f(2)
assert out.getvalue() == "0\\n1\\n"

# a large list
def f(n): return list(range(n))
---
assert f(1_500_000) == list(range(1_500_000))

# a large text
def f(n): return "ab" * n
---
assert len(f(6_000_000)) == 12_000_000

# a large argument
def f(items): return sum(items)
---
assert f(list(range(1_500_000))) == sum(range(1_500_000))

# a large number
def f(n): return 2 ** n
---
assert f(100_000) == 2 ** 100_000

# deep nesting
def f(n):
    out = []
    for _ in range(n): out = [out]
    return out
---
deep = f(400)
for _ in range(400):
    deep = deep[0]
assert deep == []

# many calls
def f(x): return x + 1
---
for n in range(3000):
    assert f(n) == n + 1

# types of the library
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from uuid import UUID
def f(kind):
    return {"date": date(2024, 1, 31) + timedelta(days=1), "decimal": Decimal("0.1") * 3, "fraction": Fraction(2, 6),
            "path": PurePosixPath("a") / "b", "uuid": UUID(int=5), "complex": 1j * 1j}[kind]
---
import datetime, decimal, fractions, pathlib, uuid
assert f("date") == datetime.date(2024, 2, 1) and f("decimal") == decimal.Decimal("0.3")
assert f("fraction") == fractions.Fraction(1, 3) and f("path") == pathlib.PurePosixPath("a/b")
assert f("uuid") == uuid.UUID(int=5) and f("complex") == -1

# a defaultdict and a Counter
from collections import Counter, defaultdict
def f(words):
    found = defaultdict(list)
    for word in words: found[len(word)].append(word)
    return found, Counter(words)
---
groups, counts = f(["a", "bb", "a"])
assert groups == {1: ["a", "a"], 2: ["bb"]} and counts.most_common(1) == [("a", 2)]

# views of a dictionary
def f(d): return d.keys()
---
assert list(f({"a": 1, "b": 2})) == ["a", "b"] and len(f({})) == 0

# a memory of the library
from functools import lru_cache
@lru_cache(maxsize=None)
def f(n): return n if n < 2 else f(n - 1) + f(n - 2)
---
assert f(30) == 832040
assert f.cache_info().misses == 31
f.cache_clear()

# state of the module
count = 0
def f():
    global count
    count += 1
---
assert count == 0
f(); f()
assert count == 2

# not a number, infinities and signs
def f(x): return x - x
---
import math
assert math.isnan(f(float("inf"))) and f(2.5) == 0
assert math.copysign(1, f(1.0)) == 1

# tuples are no lists
def f(): return (1, [2], {3: (4,)})
---
assert f() == (1, [2], {3: (4,)}) and isinstance(f(), tuple) and type(f()[1]) is list

# a class that is named in the tests only through f
class Tree:
    def __init__(self, value, left=None, right=None): self.value, self.left, self.right = value, left, right
def f(values):
    tree = None
    for value in values: tree = Tree(value, tree)
    return tree
---
tree = f([1, 2])
assert tree.value == 2 and tree.left.value == 1 and tree.left.left is None

# chained comparisons and membership
def f(x): return x / 3
---
assert 0.3 < f(1) < 0.34 and round(f(1), 2) in (0.33, 0.34)

# a stub that uses names it does not import
? def f(items: List[int], limit: float = math.inf) -> Optional[Dict[str, int]]:
    '''The largest item below the limit, under its name.'''
def f(items: List[int], limit: float = math.inf) -> Optional[Dict[str, int]]:
    below = [x for x in items if x < limit]
    return {"largest": max(below)} if below else None
---
assert f([1, 5, 3], 4) == {"largest": 3} and f([]) is None

# a stub whose class nobody defines
? def f(root: TreeNode, scale: np.ndarray = None) -> 'int':
    '''Zero if there is no tree.'''
def f(root: TreeNode, scale: np.ndarray = None) -> 'int':
    return 0 if root is None else 1
---
assert f(None) == 0
"""

WRONG = """
# a wrong answer
def f(x): return x
---
assert f(2) == 4

# not in place
def f(x): x = sorted(x)
---
x = [3, 1, 2]; f(x); assert x == [1, 2, 3]

# changes what it must not change
def f(x):
    x.sort()
    return x
---
x = [3, 1, 2]
assert f(x) == [1, 2, 3]
assert x == [3, 1, 2]

# gives itself back instead of a copy
def f(x): return x
---
x = [1]
y = f(x)
assert y is not x

# nothing comes back
def f(x): pass
---
assert f([1])[0] == 1

# too short an answer
def f(x): return []
---
first = f(3)[0]
assert first == 3

# a zero that the tests divide by
def f(x): return 0
---
assert 10 / f(5) == 2

# the result is no number
def f(x): return "3"
---
assert f(1) < 5

# the name is missing
def g(x): return x
---
assert f(1) == 1

# a helper that the question asks for is missing
? Write the functions encode and decode.
def encode(x): return x
---
assert decode(encode("a")) == "a"

# raises
def f(x): raise KeyError(x)
---
assert f(1) == 1

# no error where one is due
def f(x): return x
---
try:
    f(-1)
    assert False
except ValueError:
    pass

# another error than the one that is due
def f(x): raise TypeError("no")
---
try:
    f(-1)
except ValueError:
    pass
assert True

# ends
import sys
def f(x): sys.exit(0)
---
assert f(1) == 1

# an object that equals everything
class Liar:
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __lt__
    def __contains__(self, other): return True
def f(x): return Liar()
---
assert f(3) == 7
assert abs(f(3) - 7) < 1e-6
assert 7 in f(3)
assert f(3) < 8

# not callable
def f(x): return 3
---
assert callable(f(1))

# the wrong class
? Write the classes Shape and Circle.
class Shape: pass
class Circle: pass
---
assert isinstance(Circle(), Shape)

# wrong addition
? Write a class Vector.
class Vector:
    def __init__(self, x): self.x = x
    def __add__(self, other): return Vector(self.x)
    def __eq__(self, other): return self.x == other.x
---
assert Vector(1) + Vector(2) == Vector(3)

# async: a wrong answer
async def f(x): return x
---
import asyncio
assert asyncio.run(f(2)) == 4

# async: a wrong answer inside a context manager
async def f(x): return x
---
import asyncio
class Plain:
    async def __aenter__(self): return self
    async def __aexit__(self, kind, error, trace): return False
async def main():
    async with Plain():
        assert await f(2) == 4
asyncio.run(main())

# async: a context manager that forgets an exception
class f:
    async def __aenter__(self): return self
    async def __aexit__(self, kind, error, trace): return isinstance(error, ValueError)
    def fail(self): raise TypeError("no")
---
import asyncio
async def main():
    async with f() as one:
        one.fail()
    assert one
asyncio.run(main())

# a group of exceptions: a wrong answer that no handler catches
def f(x): return x
---
try:
    assert f(1) == 2
except* ValueError:
    pass

# a wrong call of the tests' function
def f(g, items): return [g(x) for x in items[1:]]
---
assert f(lambda x: x + 1, [1, 2]) == [2, 3]

# prints the wrong thing
def f(n): print("no")
---
import io
from contextlib import redirect_stdout
out = io.StringIO()
with redirect_stdout(out):
    f(2)
assert out.getvalue() == "yes\\n"

# a package that is not there
import numpy
def f(x): return x
---
assert f(1) == 1

# never ends
def f(x):
    while True: pass
---
assert f(1) == 1

# sleeps
import time
def f(x): time.sleep(1000)
---
assert f(1) == 1

# 1,500 minus signs
def f(x): return MINUS1
---
assert f(1) == 1
""".replace("MINUS", "-" * 1501)

UNSCORABLE = """
# tests: a missing import
def f(x): return x
---
assert np.allclose(f(1), 1)

# tests: an import that is not there
def f(x): return x
---
import pytest
with pytest.raises(ValueError):
    f(1)

# tests: divide by zero
def f(x): return x
---
assert f(1) == 1 / 0

# tests: divide by zero in a helper
def f(x): return x
---
def mean(values): return sum(values) / len(values)
assert f(1) == mean([])

# tests: leave before they test
def f(x): return x
---
import sys
sys.exit(0)
assert f(1) == 1

# tests: leave after one
def f(x): return x
---
assert f(1) == 1
raise SystemExit

# tests: an unknown helper
def f(x): return x
---
assert is_close(f(1), 1)

# tests: an unknown name
def f(x): return x
---
assert f(1) == EXPECTED

# tests: a misspelt function of the library
def f(x): return x
---
import math
assert f(2) == math.squareroot(4)

# tests: a list of cases that is empty
def f(x): return x
---
cases = []
assert f(cases[0]) == 1

# tests: claim something false of themselves
def f(x): return x
---
assert f(1) == 1
assert len([1, 2]) == 3

# tests: a file that is not there
def f(x): return x
---
assert f(1) == int(open("expected.txt").read())

# tests: recursion without end
def f(x): return x
---
def g(n): return g(n + 1)
assert f(1) == g(1)

# tests: within check
def f(x): return x
---
def check(candidate):
    assert candidate(1) == 1
    assert candidate(2) == int("two")
check(f)

# tests: an assertion on nothing
def f(x): return x
---
f(1)

# tests: do not call the program
def f(x): return x
---
assert True
"""


def list_cases() -> list[Case]:
    """Every case, in order."""
    groups: tuple[tuple[str, Verdict], ...] = ((RIGHT, "right"), (WRONG, "wrong"), (UNSCORABLE, "unscorable"))
    return [_read(part, verdict) for text, verdict in groups for part in f"\n{text}".split("\n# ")[1:]]


def _read(part: str, verdict: Verdict) -> Case:
    name, _, rest = part.partition("\n")
    program, _, tests = rest.partition("\n---\n")
    question = "Write `f`."
    if program.startswith("? "):
        asked, _, program = program[2:].partition("\n")
        while program.startswith("    '''"):
            line, _, program = program.partition("\n")
            asked += f"\n{line}"
        question = asked
    return Case(name, question, program.strip("\n"), tests.strip("\n"), verdict)
