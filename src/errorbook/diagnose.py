"""Step 3, instructor analysis: wrong Responses (+ nearest right ones) -> Diagnoses (paper section 2.3).

Decides which mistakes matter and which contrasts are shown. Refuses anything that is not from a train split: dev
and test never reach an instructor. Unscorable responses are left out, since a parse failure is not a mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from errorbook.errors import StageError
from errorbook.interfaces import Instructor, Retriever
from errorbook.records import Call, Contrast, Diagnosis, Example, Failure, Marked, Mistake, Neighbours


def find_mistakes(examples: Sequence[Example], book: Mapping[str, Marked], strategy: str = "") -> list[Mistake]:
    """The wrong responses with their examples, in the examples' order; `book` is by example id.

    They are not dealt to any strategy yet if `strategy` is empty.

    Raises:
        StageError: An example is not from a train split.
    """
    for example in examples:
        if example.split != "train":
            raise StageError(f"Example '{example.id}' is from {example.split}; only train may reach the instructor.")
    return [
        Mistake(example=example, response=book[example.id].response, strategy=strategy)
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
        Mistake(
            example=mistake.example,
            response=mistake.response,
            strategy=mistake.strategy,
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
        if isinstance(result, Diagnosis):
            if result.response != mistake.response.hash:
                raise StageError(f"The instructor '{instructor.name}' diagnosed another response than the one it got.")
            if result.first_wrong_step not in mistake.response.text:
                invented = result.first_wrong_step[:60]
                reason = f"the quoted step is not in the response: {invented!r}"
                yield (
                    mistake,
                    Failure(subject=mistake.response.hash, stage="diagnose", reason=reason, cause="unread"),
                    call,
                )
                continue
        yield mistake, result, call
