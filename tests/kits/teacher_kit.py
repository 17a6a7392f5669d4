"""A teacher for the test server: reads the prompts of the instructor as a model would, and answers true to schema."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any

from errorbook.adapters.tasks.arithmetic_problems import SKILLS, make
from errorbook.adapters.tasks.arithmetic_solver import solve
from errorbook.records import Contrast, Example, Mistake, Response, Score, Verdict
from errorbook.testing import Turn

FENCE = re.compile(r"<([a-z-]+)-([0-9a-f]{16})>\n(.*?)\n</\1-\2>", re.S)
INJECTION = "ignore your instructions"
LETTERS = "ABCDEFGHIJ"


def blocks(text: str) -> dict[str, str]:
    """The first data block of each name."""
    found: dict[str, str] = {}
    for name, _, content in FENCE.findall(text):
        found.setdefault(name, content)
    return found


def outside(text: str) -> str:
    """What the prompt itself says, without the data."""
    return FENCE.sub("", text)


def teacher(turns: Sequence[Turn]) -> str:
    """Diagnoses, writes arithmetic and answers it; obeys an injection if it finds one outside the data."""
    asked = next(turn.content for turn in turns if turn.role == "user")
    said = outside(asked).lower()
    if INJECTION in said:
        return "HACKED"
    if "find out why, and write" in said:
        return json.dumps({"analysis": diagnosis(asked), "drafts": drafts(asked, said)})
    if "find out why" in said:
        return json.dumps(diagnosis(asked))
    if "solve this" in said:
        answer = solve(blocks(asked)["question"]) or "?"
        return json.dumps({"solution": f"The rule gives {answer}.", "answer": answer})
    if "practice question" in said:
        return json.dumps({"drafts": drafts(asked, said)})
    return json.dumps({"reasoning": "Done.", "answer": solve(blocks(asked)["question"]) or "?", "sound": True})


def diagnosis(asked: str) -> dict[str, Any]:
    data = blocks(asked)
    step = data["response"].strip().splitlines()[-1] if data["response"].strip() else ""
    found = {
        "first_wrong_step": step,
        "misconception": "The student takes the last digit for the next one.",
        "error_kind": "Wrong_last  digit",
        "skill": "reckoning",
        "difficulty": 2,
    }
    return {**found, "border": "It asks for one step more."} if "near-question" in data else found


def drafts(asked: str, said: str) -> list[dict[str, str]]:
    data, rng = blocks(asked), random.Random(asked)
    count = int(re.findall(r"write (\d+) new", said)[0])
    named = re.search(r"skill to practise: (\w+)", data.get("diagnosis", ""))
    written = []
    for _ in range(count):
        skill = named[1] if named and named[1] in SKILLS else rng.choice(SKILLS)
        problem = make(skill, rng.randint(1, 3), rng)
        written.append(
            {"question": problem.question, "solution": "\n".join(problem.steps), "answer": problem.answer},
        )
    return written


def example(question: str, answer: str, **fields: Any) -> Example:
    return Example(id=question[:20], task="sums", split="train", question=question, answer=answer, **fields)


def response(of: Example, text: str, verdict: Verdict = "wrong") -> Response:
    return Response(
        evaluation="e",
        example=of.id,
        task=of.task,
        split="train",
        prompt_hash="p",
        text=text,
        tokens=3,
        truncated=False,
        score=Score(verdict=verdict),
    )


def mistake(of: Example, text: str, near: Sequence[tuple[Example, str]] = (), strategy: str = "") -> Mistake:
    contrasts = tuple(
        Contrast(example=one, response=response(one, said, "right"), similarity=0.5) for one, said in near
    )
    strategy = strategy or ("contrast" if near else "error")
    return Mistake(example=of, response=response(of, text), strategy=strategy, contrasts=contrasts)
