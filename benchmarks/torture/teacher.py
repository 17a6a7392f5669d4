"""A teacher for the stand-in server: diagnoses, and writes arithmetic that passes verification. No part by itself."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any

from errorbook.adapters.tasks.arithmetic_problems import SKILLS, make
from errorbook.testing import Turn

_DATA = re.compile(r"<([a-z-]+)-([0-9a-f]{16})>\n(.*?)\n</\1-\2>", re.S)


def teach(turns: Sequence[Turn]) -> str:
    """The reply to an instructor's prompt; it depends on the first prompt alone, so a correction changes nothing."""
    asked = next(turn.content for turn in turns if turn.role == "user")
    data = {name: content for name, _, content in reversed(_DATA.findall(asked))}
    said = _DATA.sub("", asked).lower()
    if "find out why" in said:
        return json.dumps(_diagnose(data))
    return json.dumps({"drafts": _write(asked, data, int(re.findall(r"write (\d+) new", said)[0]))})


def _diagnose(data: dict[str, str]) -> dict[str, Any]:
    found = {
        "first_wrong_step": (data["response"].strip().splitlines() or [""])[-1],
        "misconception": "The student takes the last digit for the next one.",
        "error_kind": "wrong last digit",
        "skill": "reckoning",
        "difficulty": 2,
    }
    return {**found, "border": "It asks for one step more."} if "near-question" in data else found


def _write(asked: str, data: dict[str, str], count: int) -> list[dict[str, str]]:
    draw = random.Random(asked)
    named = re.search(r"skill to practise: (\w+)", data.get("diagnosis", ""))
    skills = [named[1]] if named and named[1] in SKILLS else list(SKILLS)
    problems = [make(draw.choice(skills), draw.randint(1, 3), draw) for _ in range(count)]
    return [{"question": one.question, "solution": "\n".join(one.steps), "answer": one.answer} for one in problems]
