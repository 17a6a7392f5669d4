"""A target that thinks: its thought is kept beside the answer, which alone is scored, and no thought is a mistake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from parroting_kit import Parroting

from errorbook.evaluate import UNFINISHED, evaluate, identify, score_pairs
from errorbook.records import Completion, Example, Generation, Response, Score, digest

EXAMPLE = Example(id="1", task="parrot", split="dev", question="How much is 17 + 1?", answer="18")
NO_ANSWER = Score(verdict="unscorable", method=UNFINISHED)


class Contains:
    """Right if the gold answer stands anywhere in the text, wrong if it does not: also of an empty text."""

    name = "contains anything"

    def score(self, example: Example, text: str) -> Score:
        return Score(verdict="right" if example.answer in text else "wrong", extracted=text)


class AllAtOnce(Contains):
    """The same for many at once."""

    def score_all(self, pairs: Sequence[tuple[Example, str]]) -> list[Score]:
        return [self.score(example, text) for example, text in pairs]


class Thinker(Parroting):
    """Says the same to every prompt, with what a server has told apart beside it."""

    def __init__(self, text: str, thought: str, truncated: bool) -> None:
        super().__init__()
        self._said = (text, thought, truncated)

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        text, thought, truncated = self._said
        for index, prompt in enumerate(prompts):
            yield Completion(
                index=index, text=text, tokens=9, truncated=truncated, prompt_hash=digest(prompt), thought=thought
            )


def respond(text: str, thought: str = "", *, truncated: bool = False, scorer: Contains | None = None) -> Response:
    target = Thinker(text, thought, truncated)
    evaluation = identify(target, "base", target.task, "dev", [EXAMPLE])
    [[response]] = evaluate(target, target.task, scorer or Contains(), evaluation, [EXAMPLE])
    return response


@pytest.mark.parametrize("scorer", [Contains(), AllAtOnce()])
@pytest.mark.parametrize(
    ("text", "thought"),
    [
        ("<think>Is it 17? No.</think>\n\n18", ""),
        ("Is it 17? No.\n</think>\n\n18", ""),
        ("<think>No.</think>18", "Is it 17?"),
        ("18", "Is it 17? No."),
    ],
)
def test_the_thought_is_kept_beside_the_answer_that_is_scored(scorer: Contains, text: str, thought: str) -> None:
    response = respond(text, thought, scorer=scorer)

    assert response.text == "18"
    assert " ".join(response.thought.split()) == "Is it 17? No."
    assert (response.score.verdict, response.score.extracted) == ("right", "18")
    assert (response.tokens, response.truncated) == (9, False)


@pytest.mark.parametrize("scorer", [Contains(), AllAtOnce()])
@pytest.mark.parametrize(
    ("text", "thought", "truncated"),
    [
        ("<think>Is it 18? Per", "", True),
        ("<think>Is it 18? It ends here.", "", False),
        ("", "Is it 18? Per", True),
        ("  \n", "Is it 18?", False),
    ],
)
def test_what_ends_inside_its_thought_is_cut_off_and_no_mistake(
    scorer: Contains, text: str, thought: str, truncated: bool
) -> None:
    response = respond(text, thought, truncated=truncated, scorer=scorer)

    assert response.score == NO_ANSWER
    assert response.truncated
    assert not response.text.strip()
    assert "Is it 18?" in response.thought


def test_an_answer_without_a_thought_is_recorded_as_it_was_before() -> None:
    response = respond("17")

    assert (response.text, response.thought, response.score.verdict) == ("17", "", "wrong")
    # A record's hash leaves out what equals its default, so that earlier records keep theirs.
    assert respond("17").hash == Response(**{name: getattr(response, name) for name in KNOWN}).hash


KNOWN = ("evaluation", "example", "task", "split", "prompt_hash", "text", "tokens", "truncated", "score")


def test_texts_from_elsewhere_are_scored_without_their_thoughts() -> None:
    pairs = [(EXAMPLE, text) for text in ("<think>17</think>18", "17", "<think>18", "18")]

    right, wrong = Score(verdict="right", extracted="18"), Score(verdict="wrong", extracted="17")
    assert score_pairs(AllAtOnce(), pairs) == score_pairs(Contains(), pairs) == [right, wrong, NO_ANSWER, right]
