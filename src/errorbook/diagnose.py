"""Step 3, instructor analysis: wrong Responses (+ nearest right ones) -> Diagnoses (paper section 2.3).

Decides which mistakes matter and which contrasts are shown. Refuses anything that is not from a train split: dev
and test never reach an instructor. Unscorable responses are left out, since a parse failure is not a mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from errorbook.errors import StageError
from errorbook.interfaces import Instructor, Retriever
from errorbook.records import Call, Contrast, Diagnosis, Example, Failure, Marked, Mistake, Neighbours


def find_mistakes(
    examples: Sequence[Example], book: Mapping[str, Marked], strategy: str = "", *, show_gold: bool = True
) -> list[Mistake]:
    """The wrong responses with their examples, in the examples' order; `book` is by example id.

    They are not dealt to any strategy yet if `strategy` is empty. `show_gold` says what an instructor may be shown.

    Raises:
        StageError: An example is not from a train split.
    """
    for example in examples:
        if example.split != "train":
            raise StageError(f"Example '{example.id}' is from {example.split}; only train may reach the instructor.")
    return [
        Mistake(example=example, response=book[example.id].response, strategy=strategy, show_gold=show_gold)
        for example in examples
        if example.id in book and book[example.id].verdict == "wrong"
    ]


def add_contrasts(
    mistakes: Sequence[Mistake],
    examples: Sequence[Example],
    book: Mapping[str, Marked],
    retriever: Retriever,
    k: int,
) -> list[Mistake]:
    """Learning from Error by Contrast: give each mistake the `k` nearest train questions answered right."""
    right = [
        example
        for example in examples
        if example.id in book and book[example.id].verdict == "right" and example.split == "train"
    ]
    if not mistakes or not right:
        return list(mistakes)
    nearest = retriever.nearest([mistake.example for mistake in mistakes], right, k)
    return [
        replace(
            mistake,
            contrasts=tuple(
                Contrast(example=right[index], response=book[right[index].id].response, similarity=round(similarity, 4))
                for index, similarity in found
            ),
        )
        for mistake, found in zip(mistakes, nearest, strict=True)
    ]


def list_neighbours(mistake: Mistake) -> Neighbours:
    """What the diagnosis of this mistake is shown beside it, in numbers: for people who read the book."""
    near = ((contrast.response.hash, contrast.similarity) for contrast in mistake.contrasts)
    return Neighbours(response=mistake.response.hash, near=tuple(near))


def diagnose(
    instructor: Instructor, mistakes: Iterable[Mistake]
) -> Iterator[tuple[Mistake, Diagnosis | Failure, Call]]:
    """Have the instructor analyse each mistake; a failure is yielded with its reason like any other result.

    Raises:
        StageError: A diagnosis quotes a step that the response does not contain, or names another response.
    """
    for mistake, result, call in instructor.diagnose(mistakes):
        fault = find_invention(instructor.name, mistake, result) if isinstance(result, Diagnosis) else ""
        if fault:
            failure = Failure(subject=mistake.response.hash, stage="diagnose", reason=fault, cause="unread")
            yield mistake, failure, call
        else:
            yield mistake, result, call


def find_invention(instructor: str, mistake: Mistake, diagnosis: Diagnosis) -> str:
    """What the diagnosis quotes that the response does not contain, as a reason; empty if all of it is there.

    Raises:
        StageError: It names another response.
    """
    if diagnosis.response != mistake.response.hash:
        raise StageError(f"The instructor '{instructor}' diagnosed another response than the one it got.")
    if diagnosis.first_wrong_step in mistake.response.text:
        return ""
    return f"the quoted step is not in the response: {diagnosis.first_wrong_step[:60]!r}"
