"""A million drafts against each other and against the benchmarks' held-out questions.

Drafts are word problems made from templates with other names, things and numbers. One in twenty repeats an earlier one
with a single word changed, one in a hundred carries a held-out question; both are planted at known places, so that
what is found can be counted. With $ERRORBOOK_DATA the held-out questions are those of the benchmarks there, else
20,000 invented ones. The decisions are those of `verify`: duplicates first, then contamination.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.scale_marks import Stopwatch, Value
from errorbook import plugins
from errorbook.checks.taken import Protected, Taken
from errorbook.checks.tokens import words
from errorbook.records import Example
from errorbook.setup.held_out import protected_questions

HELD_OUT = 20_000
NEAR, NGRAM = 0.8, 10
"""What `[verify]` has by default."""
_NAMES = ("Ada", "Bo", "Cem", "Dina", "Egon", "Femi", "Gil", "Hana", "Igor", "June", "Kofi", "Lena", "Milo", "Nora")
_THINGS = ("apples", "beads", "coins", "dolls", "eggs", "figs", "grapes", "hats", "inks", "jars", "kites", "lamps")
_PLACES = ("market", "harbour", "library", "orchard", "station", "bakery", "workshop", "school", "garden")
_OPENINGS = (
    "On a rainy morning {name} walks to the {place} with {a} {things} in a basket and meets {other} at the gate.",
    "At the {place} {name} counts {a} {things} on the long shelf while {other} writes every number down.",
    "Every week {name} brings {a} {things} from the {place} home and puts them in a box for {other}.",
    "Before the fair {name} and {other} have packed {a} {things} that were left over at the {place}.",
    "{name} runs a small stall near the {place} where {other} has already ordered {a} {things} for a party.",
)
_MIDDLES = (
    "Then {b} more are delivered in the afternoon, and {c} of all of them turn out to be broken.",
    "A friend gives {b} more as a present, but on the way back {c} of them get lost in the snow.",
    "They buy {b} more from a neighbour and sell {c} of the best ones before the evening.",
    "Later {b} others are found under the table, and {c} are handed to the children who helped.",
)
_ENDS = (
    "How many {things} does {name} have at the end of the day?",
    "How many {things} are left when {other} closes the door?",
    "What is the number of {things} that {name} can still give away?",
)
_WORDS = 4_000
"""Words of the invented held-out questions: few enough that pairs of them recur."""


class Planted(NamedTuple):
    """A draft's question and answer, and why it must be rejected; `kind` is empty if it should pass."""

    question: str
    answer: str
    kind: str = ""


def measure(rows: int, folder: Path) -> list[Value]:
    """Check `rows` drafts one after the other, as the loop does."""
    del folder
    held, train = _held_out()
    index, check = Stopwatch(), Stopwatch()
    with index.running():
        taken = Taken(NEAR, (example.question for example in train))
        protected = Protected(held, train, NGRAM, ())
    found: Counter[tuple[str, str]] = Counter()
    drafts = planted(rows, held, seed=5)
    while block := [draft for _, draft in zip(range(4096), drafts, strict=False)]:
        with check.running():
            for draft in block:
                refusal = taken.clash(draft.question) or protected.clash(draft.question, draft.answer)
                if refusal is None:
                    taken.add(draft.question)
                found[draft.kind, refusal.reason if refusal else ""] += 1
    shares = {kind: _share(found, kind) for kind in ("near_duplicate", "contaminated", "")}
    return [
        Value(part="duplicates", name="drafts", value=rows),
        Value(part="duplicates", name="held-out questions", value=len(held)),
        Value(part="duplicates", name="index the held-out questions", value=index.seconds, unit="s"),
        Value(part="duplicates", name="check", value=check.seconds, unit="s", mark="< 600"),
        Value(part="duplicates", name="near duplicates found", value=shares["near_duplicate"], mark=">= 0.99"),
        Value(part="duplicates", name="contaminated found", value=shares["contaminated"], mark=">= 0.999"),
        Value(part="duplicates", name="others kept", value=shares[""], mark=">= 0.99"),
    ]


def planted(rows: int, held: list[Example], seed: int) -> Iterator[Planted]:
    """The drafts: new ones, repeats of earlier ones with another word, and such that carry a held-out question."""
    dice = random.Random(seed)
    whole = [example.question for example in held if len(words(example.question)) >= 2 * NGRAM]
    earlier: list[str] = []
    for number in range(rows):
        chance = dice.random()
        if chance < 0.01:
            yield Planted(f"{dice.choice(_NAMES)} reads this aloud. {dice.choice(whole)}", "0", "contaminated")
        elif chance < 0.06 and earlier:
            yield Planted(_changed(dice.choice(earlier), dice), "0", "near_duplicate")
        else:
            question = _new(dice)
            if len(earlier) < 50_000 or number % 20 == 0:
                earlier.append(question)
            yield Planted(question, str(number))


def _new(dice: random.Random) -> str:
    text = f"{dice.choice(_OPENINGS)} {dice.choice(_MIDDLES)} {dice.choice(_ENDS)}"
    name, other = dice.sample(_NAMES, 2)
    return text.format(
        name=name,
        other=other,
        place=dice.choice(_PLACES),
        things=dice.choice(_THINGS),
        a=dice.randrange(200, 3000),
        b=dice.randrange(2, 900),
        c=dice.randrange(2, 200),
    )


def _changed(question: str, dice: random.Random) -> str:
    """The question with one of its words changed, but no number."""
    parts = question.split()
    place = dice.choice([place for place, part in enumerate(parts) if part.isalpha()])
    parts[place] = "purple"
    return " ".join(parts)


def _held_out() -> tuple[list[Example], list[Example]]:
    if os.environ.get("ERRORBOOK_DATA"):
        return list(protected_questions((), None)), list(plugins.create("tasks", "gsm8k").examples("train", None, 0))
    dice = random.Random(3)
    vocabulary = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randrange(2, 9))) for _ in range(_WORDS)]
    return [
        Example(
            id=str(number),
            task="invented",
            split="test",
            question=" ".join(dice.choices(vocabulary, k=dice.randrange(15, 70))),
            answer=str(number),
        )
        for number in range(HELD_OUT)
    ], []


def _share(found: Counter[tuple[str, str]], kind: str) -> float:
    """Which part of the drafts of one kind got what they should: their own reason, or none."""
    total = sum(count for (planted, _), count in found.items() if planted == kind)
    return found[kind, kind] / total if total else 1.0
