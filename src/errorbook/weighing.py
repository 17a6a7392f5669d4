"""Multiple choice without free text: the option's letter that the target finds likeliest is its response.

The letters are weighed, not the texts, so that long and short options compete fairly. It does not normalise by what
the target thinks of a letter without the question, and knows nothing of batches or models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from errorbook.interfaces import Likelihood, Scorer, Task
from errorbook.records import Completion, Example, Score, digest

METHOD = "likelihood"
"""What a score's `method` says of a response that was weighed and not written."""


def weigh(
    target: Likelihood, task: Task, scorer: Scorer, examples: Sequence[Example]
) -> Iterator[tuple[Example, Completion, Score]]:
    """For each example the likeliest letter as a completion, and its score; the first of equals is taken."""
    prompts = [task.prompt(example.question, example.choices) for example in examples]
    letters = [[chr(ord("A") + place) for place in range(len(example.choices))] for example in examples]
    for index, weights in target.log_likelihoods(prompts, letters):
        best = max(range(len(weights)), key=lambda place: weights[place])
        letter, shown = letters[index][best], zip(letters[index], weights, strict=True)
        completion = Completion(
            index=index, text=letter, tokens=1, truncated=False, prompt_hash=digest(prompts[index], *letters[index])
        )
        evidence = ", ".join(f"{name} {weight:.3f}" for name, weight in shown)
        score = scorer.score(examples[index], letter)
        yield examples[index], completion, replace(score, method=METHOD, evidence=evidence)
