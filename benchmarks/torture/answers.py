"""Random and hostile texts through the scorers of answers and the checks of samples.

Counts texts. Each goes through `numeric`, `choice`, `exact`, `contains` and every check of a solution and a question;
the code scorer has a part of its own. Broken is an exception, a verdict that does not exist, and growth: a pattern that
is repeated four times as often may take at most ten times as long, where a quadratic step takes sixteen. It is repeated
until that can be measured, up to a quarter of a million characters.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from benchmarks.torture.part import Outcome
from errorbook import plugins
from errorbook.checks.equations import find_wrong_equation
from errorbook.checks.final_number import find_conclusion
from errorbook.checks.giveaways import find_leak, take_off_heading
from errorbook.checks.hedging import find_doubt
from errorbook.checks.quantities import find_misfit
from errorbook.interfaces import Scorer
from errorbook.records import Example

PIECES = [
    "the answer is ",
    "Answer:",
    "####",
    "\\boxed{",
    "}",
    "$",
    "\\frac{1}{2}",
    "\\frac12",
    "<<3*4=12>>",
    "<think>",
    "</think>",
    "<",
    "im_end",
    ">",
    "(A)",
    "B.",
    "option C",
    " or ",
    " and ",
    "not ",
    "none of the ",
    "if ",
    "would be ",
    "might be ",
    "because ",
    "cannot be determined",
    "is impossible",
    "1",
    "2.5",
    "1,234",
    "14, 400",
    "$5",
    "3/4",
    "2 1/2",
    "25%",
    "6th",
    "-7",
    "10\u207b\u2074",
    "one",
    "twenty-one",
    "million",
    " = ",
    " + ",
    "/ ",
    " * ",
    "- ",
    "\xd7",
    "\u2248",
    "(",
    ")",
    "[",
    "]",
    "<",
    ">",
    " 1 ",
    " 2 ",
    "\n",
    "\n\n",
    ". ",
    ": ",
    "? ",
    "! ",
    ", ",
    "hours ",
    "minutes (",
    "5 feet 6 inches",
    "apples ",
    "each ",
    "how many ",
    "Question:",
    "#### Question:",
    "**",
    "__",
    "```",
    "let's ",
    "we ",
    "round to the nearest ",
    "half a duck ",
    "student's mistake",
    "\x00",
    "\ud83d\ude00",
    "\u202e",
    "\u0661\u0662",
    "\uff11",
    "\xbd",
    "a",
    "I",
    "x",
    "' ",
    '"',
    "|",
]
GROWTH = 10
_NOISE_S = 0.05
_SIZES = (4_000, 8_000, 16_000, 32_000, 64_000)

Target = Callable[[str], object]


def torment(seconds: float, seed: int) -> Outcome:
    """Draw texts and repeated patterns until the time is up."""
    rng, until = random.Random(seed), time.monotonic() + seconds
    targets, broken, tried = make_targets(), [], 0
    worst = 0.0
    while time.monotonic() < until or not tried:
        text = _text(rng)
        for name, target in targets.items():
            try:
                target(text)
            except Exception as error:  # whatever it is, it broke
                broken.append(f"{name} on {text!r}: {type(error).__name__}: {error}")
        tried += 1
        if tried % 200 == 1:  # a measurement takes as long as hundreds of texts
            name = rng.choice(list(targets))
            piece = "".join(rng.choices(PIECES, k=rng.randint(1, 3)))
            ratio = measure_growth(targets[name], piece)
            worst = max(worst, ratio)
            if ratio > GROWTH:
                broken.append(f"{name} grows {ratio:.0f}-fold on four times {piece!r}")
        if len(broken) > 20:
            break
    return Outcome(tried=tried, broken=tuple(broken), figures={"worst growth": worst})


def make_targets() -> dict[str, Target]:
    """Everything that reads a text which a model wrote, as functions of the text alone."""
    scorers: dict[str, Scorer] = {
        name: plugins.create("scorers", name) for name in ("numeric", "choice", "exact", "contains")
    }
    golds = {
        "numeric": ("12", "None"),
        "choice": ("B",),
        "exact": ("yes", "24", "] >", "apple bay", "B"),
        "contains": ("a",),
    }
    targets: dict[str, Target] = {
        f"{name} {gold}": _judge(scorers[name], gold) for name, answers in golds.items() for gold in answers
    }
    targets |= {"leak": find_leak, "heading": take_off_heading, "doubt": find_doubt, "steps": find_wrong_equation}
    return targets | {"conclusion": find_conclusion, "misfit": lambda text: find_misfit(text, text, text[:20])}


def measure_growth(target: Target, piece: str) -> float:
    """How many times longer four times as much of a pattern takes; 0 if the most of it takes no time to speak of.

    What seems to grow too much is measured again: other programs may have had the processor's caches meanwhile.
    """
    for size in _SIZES:
        long = _measure(target, piece, 4 * size)
        if long < _NOISE_S:
            continue
        ratio = long / _measure(target, piece, size)
        for _ in range(2 if ratio > GROWTH else 0):
            ratio = min(ratio, _measure(target, piece, 4 * size) / _measure(target, piece, size))
        return ratio
    return 0.0


def _measure(target: Target, piece: str, size: int) -> float:
    """Seconds of the processor."""
    text = piece * (size // max(1, len(piece)))
    begun = time.process_time()
    target(text)
    return max(time.process_time() - begun, 1e-6)


def _judge(scorer: Scorer, gold: str) -> Target:
    def judge(text: str) -> None:
        options = ("Rome", "Berlin", "Paris", "New York") if scorer.name == "choice" else ()
        example = Example(id="1", task="t", split="dev", question=text[:200] or "q", answer=gold, choices=options)
        score = scorer.score(example, text)
        if score.verdict not in {"right", "wrong", "unscorable"} or len(score.extracted) > len(text) + 40:
            raise ValueError(f"the score is {score}")

    return judge


def _text(rng: random.Random) -> str:
    """Up to sixty pieces, some letters changed by chance."""
    text = "".join(rng.choices(PIECES, k=rng.randint(0, 60)))
    for _ in range(rng.randint(0, 3)):
        at = rng.randint(0, len(text))
        text = text[:at] + chr(rng.choice([rng.randint(1, 127), rng.randint(128, 0xD7FF)])) + text[at + 1 :]
    return text
