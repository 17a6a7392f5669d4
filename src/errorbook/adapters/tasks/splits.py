"""Which question is in which split, if its source does not say: by a hash of the question, never by the run.

Equal questions fall into one split, whatever their case and spacing; adding questions never moves another; and since
the run's seed plays no part, what was tested on stays unseen in every run. Near-duplicates are not looked for here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from errorbook.errors import DataError
from errorbook.records import Example, Split, context_of, digest

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def normalise(question: str) -> str:
    """The question as it is compared with others: case and spacing do not count."""
    return " ".join(question.casefold().split())


def identity(example: Example) -> tuple[str, ...]:
    """The question as it is compared, after what stands before it: with another system message it is another."""
    return (normalise(example.question), context_of(example.before))


def position_of(question: str) -> float:
    """The question's fixed place in [0, 1)."""
    return int(digest("split", normalise(question))[:12], 16) / 16**12


def choose_split(question: str, part: Split, parts: Collection[Split], dev: float = 0.2, test: float = 0.2) -> Split:
    """The split of a question that its source keeps in `part`, if the source has only the given `parts`.

    What is missing comes out of train: the share `dev` of its questions, then the share `test`. A source that has
    nothing but a test part gives half of it to dev.
    """
    at = position_of(question)
    if part == "test" and not {"train", "dev"} & set(parts):
        return "dev" if at < 0.5 else "test"
    if part == "train" and "dev" not in parts and at < dev:
        return "dev"
    if part == "train" and "test" not in parts and dev <= at < dev + test:
        return "test"
    return part


def drop_repeats(examples: Iterable[Example]) -> list[Example]:
    """Each question once: in the last split that has it, and not at all if that split gives it two answers."""
    found: dict[tuple[str, ...], dict[Split, list[Example]]] = {}
    for example in examples:
        same = found.setdefault((*identity(example), *example.choices), {})
        same.setdefault(example.split, []).append(example)
    kept = []
    for splits in found.values():
        last = next(splits[split] for split in reversed(SPLITS) if split in splits)
        if len({example.tests or example.answer for example in last}) == 1:
            kept.append(last[0])
    return kept


def choose_examples(examples: Sequence[Example], split: Split, n: int | None, seed: int, empty: str) -> list[Example]:
    """The split's examples, the first `n` in an order that the seed shuffles.

    Raises:
        DataError: With the sentence `empty`, if the split has no example.
    """
    chosen = [example for example in examples if example.split == split]
    if not chosen:
        raise DataError(empty)
    return sorted(chosen, key=lambda example: digest("order", str(seed), example.question, example.id))[:n]
