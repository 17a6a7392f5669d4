"""Fills a small JSON schema with a value that fits it: what an obedient model would answer in form, not in content.

Covers what schemas of records use: objects, arrays, strings, numbers, booleans, null, enum, const, anyOf, oneOf, $ref
into the schema itself, and the usual bounds. Not covered: pattern, not, allOf with several members, conditions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

DEEPEST = 24
LINE = "count the parts then check each step against what the question gives and write the answer last "


class UnfillableError(ValueError):
    """The schema uses something that this module does not know."""


def fill(schema: dict[str, Any], random: Random, characters: int = 0) -> Any:
    """A value that fits `schema`; the first free string in it has about `characters` characters.

    Raises UnfillableError if the schema needs more than this module knows.
    """
    return _Filler(schema, random, characters).value(schema, 0)


def words(random: Random, characters: int) -> str:
    """A made-up text of so many characters; a few words long if `characters` is 0."""
    start = random.randrange(len(LINE) - 1)
    line = LINE[start:] + LINE[:start]
    if characters <= 0:
        return line[:24].strip()
    return (line * (characters // len(line) + 1))[:characters]


class _Filler:
    def __init__(self, root: dict[str, Any], random: Random, characters: int) -> None:
        self.root = root
        self.random = random
        self.characters = characters

    def value(self, schema: dict[str, Any] | bool, depth: int) -> Any:
        if isinstance(schema, bool):
            return None
        if depth > DEEPEST:
            raise UnfillableError("The schema is nested too deeply, or refers to itself without an end.")
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        for key in ("anyOf", "oneOf", "allOf"):
            if key in schema:
                return self.value(self.branch(key, schema[key], depth), depth + 1)
        if "$ref" in schema:
            return self.value(self.resolve(schema["$ref"]), depth + 1)
        return self.typed(schema, depth)

    def branch(self, key: str, branches: list[dict[str, Any]], depth: int) -> dict[str, Any]:
        if key == "allOf" and len(branches) > 1:
            raise UnfillableError("This server cannot fill 'allOf' with several members; give it a script.")
        # A record that holds itself ends at a field that may be null.
        nulls = [branch for branch in branches if branch.get("type") == "null"]
        return nulls[0] if nulls and depth > 8 else branches[0]

    def resolve(self, reference: str) -> dict[str, Any]:
        found: Any = self.root
        for part in reference.removeprefix("#").strip("/").split("/"):
            if part:
                found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise UnfillableError(f"The schema refers to '{reference}', which is not in it.")
        return found

    def typed(self, schema: dict[str, Any], depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "null")
        if isinstance(kind, list):
            kind = kind[0]
        makers: dict[str, Callable[[], Any]] = {
            "object": lambda: self.properties(schema, depth),
            "array": lambda: self.items(schema, depth),
            "string": lambda: self.string(schema),
            "integer": lambda: int(self.number(schema, whole=True)),
            "number": lambda: float(self.number(schema, whole=False)),
            "boolean": lambda: self.random.random() < 0.5,
            "null": lambda: None,
        }
        if kind not in makers:
            raise UnfillableError(f"The schema has the unknown type '{kind}'.")
        return makers[kind]()

    def properties(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        return {name: self.value(inner, depth + 1) for name, inner in schema.get("properties", {}).items()}

    def items(self, schema: dict[str, Any], depth: int) -> list[Any]:
        first = [self.value(inner, depth + 1) for inner in schema.get("prefixItems", [])]
        inner = schema.get("items", {})
        if inner is False or depth > 8:
            return first
        size = max(schema.get("minItems", 0), min(2, schema.get("maxItems", 2)))
        return first + [self.value(inner, depth + 1) for _ in range(size - len(first))]

    def string(self, schema: dict[str, Any]) -> str:
        if "pattern" in schema:
            raise UnfillableError("This server cannot fill a 'pattern'; give it a script.")
        text = words(self.random, self.characters)
        self.characters = 0
        least, most = schema.get("minLength", 0), schema.get("maxLength", len(text))
        return words(self.random, least) if len(text) < least else text[: max(most, 0)]

    def number(self, schema: dict[str, Any], *, whole: bool) -> float:
        """A small whole number within the bounds if there is one, else the middle of the bounds."""
        low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
        high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
        step = schema.get("multipleOf", 1)
        first = math.ceil(low / step) if low > -math.inf else min(1, math.floor(high / step)) if high < math.inf else 1
        first += first * step == schema.get("exclusiveMinimum")
        last = min(first + 9, math.floor(high / step) if high < math.inf else first + 9)
        last -= last * step == schema.get("exclusiveMaximum")
        if first <= last:
            return float(self.random.randint(first, last) * step)
        if whole:
            raise UnfillableError("The schema's bounds leave no whole number.")
        return float((low + high) / 2)
