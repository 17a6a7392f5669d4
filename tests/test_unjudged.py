"""What judges a response may fail: then there is no verdict, nothing is counted, and the same command goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from parroting_kit import Parroting

from errorbook.errors import UnjudgedError, UserError
from errorbook.evaluate import Recorded, evaluate, identify, judge_texts
from errorbook.judge import compare
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.noise_floor import measure_noise_floor
from errorbook.records import Evaluation, Example, NoVerdict, Response, Score, Unjudged


class Moody:
    """Says right to all that it judges; fails on the first `failures` texts that it is given."""

    name = "moody"

    def __init__(self, failures: int = 0, verdict: str = "right") -> None:
        self.failures = failures
        self.verdict = verdict
        self.seen: list[str] = []

    def score(self, example: Example, text: str) -> Score:
        raise NotImplementedError

    def score_all(self, pairs: Sequence[tuple[Example, str]]) -> list[Score | NoVerdict]:
        found: list[Score | NoVerdict] = []
        for _, text in pairs:
            self.seen.append(text)
            self.failures -= 1
            if self.failures >= 0:
                found.append(NoVerdict(reason="the sandbox failed: no memory"))
            else:
                found.append(Score(verdict="right" if self.verdict == "right" else "unscorable"))
        return found


class OneByOne(Moody):
    """The same for one at a time."""

    score_all = None  # type: ignore[assignment]

    def score(self, example: Example, text: str) -> Score:
        [found] = Moody.score_all(self, [(example, text)])
        if isinstance(found, NoVerdict):
            raise UnjudgedError(found.reason)
        return found


class Broken(Moody):
    """Cannot work at all."""

    def score_all(self, pairs: Sequence[tuple[Example, str]]) -> list[Score | NoVerdict]:
        raise UserError("Model-written code cannot be run safely here: bubblewrap is not installed.")


TARGET = Parroting()
TASK = TARGET.task
EXAMPLES = TARGET.examples(20)


def begin(ledger: Ledger, checkpoint: str = "base") -> Evaluation:
    evaluation = identify(TARGET, checkpoint, TASK, "dev", EXAMPLES, "moody")
    ledger.open_evaluation(evaluation)
    return evaluation


def go_on(ledger: Ledger, evaluation: Evaluation, scorer: Moody) -> None:
    """What the loop does for one evaluation."""
    answered = ledger.answered(evaluation)
    recorded = Recorded(answered, lambda example, text: ledger.recall(evaluation, example, text), ledger.keep_unjudged)
    by_id = {example.id: example for example in EXAMPLES}
    waiting = [(by_id[item.example], item) for item in ledger.unjudged(evaluation)]
    for block in judge_texts(scorer, waiting, recorded):
        ledger.append_responses(block)
        answered.update(response.example for response in block)
    if len(answered) < len(EXAMPLES):
        for block in evaluate(TARGET, TASK, scorer, evaluation, EXAMPLES, recorded):
            ledger.append_responses(block)


@pytest.mark.parametrize("kind", [Moody, OneByOne])
def test_texts_without_a_verdict_are_kept_and_judged_again_without_asking(kind: type[Moody], tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger, open_ledger(tmp_path / "undisturbed", "write") as undisturbed:
        evaluation = begin(ledger)
        with pytest.raises(UnjudgedError, match="3 of 20 responses of 'parrot' on dev could not be judged") as raised:
            go_on(ledger, evaluation, kind(failures=3))
        assert "no memory" in str(raised.value)
        assert "same command" in str(raised.value)
        assert ledger.tally(evaluation).n == 17
        assert ledger.tally(evaluation).unscorable == 0
        assert len(ledger.unjudged(evaluation)) == 3
        asked = TARGET.asked

        again = kind()
        go_on(ledger, evaluation, again)

        assert TARGET.asked == asked
        assert len(again.seen) == 3
        assert ledger.unjudged(evaluation) == []
        assert ledger.tally(evaluation).right == 20
        go_on(undisturbed, begin(undisturbed), kind())
        assert ledger.digest() == undisturbed.digest()


def test_failing_again_changes_nothing(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        evaluation = begin(ledger)
        for failures in (20, 20, 5):
            with pytest.raises(UnjudgedError):
                go_on(ledger, evaluation, Moody(failures))
        assert len(ledger.unjudged(evaluation)) == 5
        go_on(ledger, evaluation, Moody())
        assert ledger.tally(evaluation).right == 20


def test_what_is_taken_back_leaves_no_text_behind_to_be_judged(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger, open_ledger(tmp_path / "undisturbed", "write") as undisturbed:
        other, evaluation = begin(ledger, "other"), begin(ledger)
        for one, failures in ((other, 2), (evaluation, 4)):
            with pytest.raises(UnjudgedError):
                go_on(ledger, one, Moody(failures))
        go_on(ledger, evaluation, Moody())

        ledger.discard(evaluation)

        assert begin(ledger) == evaluation
        assert ledger.unjudged(evaluation) == []
        assert len(ledger.unjudged(other)) == 2, "what belongs to another evaluation is kept"
        asked = TARGET.asked
        go_on(ledger, evaluation, Moody())
        assert TARGET.asked == asked + 20, "every question is asked again"
        go_on(ledger, other, Moody())
        for checkpoint in ("other", "base"):
            go_on(undisturbed, begin(undisturbed, checkpoint), Moody())
        assert ledger.digest() == undisturbed.digest()


def test_a_score_is_recalled_from_an_evaluation_that_was_taken_back_and_asked_again(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        first = begin(ledger)
        go_on(ledger, first, Moody())
        second = begin(ledger, "other")
        go_on(ledger, second, Moody())  # now it is known which evaluations are judged alike
        ledger.discard(first)
        ledger.open_evaluation(identify(TARGET, "third", TASK, "dev", EXAMPLES, "moody"))
        go_on(ledger, begin(ledger), Moody())
        example = EXAMPLES[7].id
        said = ledger.answer(first, example)
        ledger.discard(second)

        assert said is not None
        assert ledger.recall(begin(ledger, "other"), example, said.text) == said.score


def test_a_scorer_that_cannot_work_says_so_and_the_texts_are_kept(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        evaluation = begin(ledger)
        with pytest.raises(UserError, match="bubblewrap"):
            go_on(ledger, evaluation, Broken())
        asked = TARGET.asked
        go_on(ledger, evaluation, Moody())
        assert TARGET.asked == asked
        assert ledger.tally(evaluation).right == 20


def test_equal_texts_have_equal_verdicts_whatever_happens_to_the_judging(tmp_path: Path) -> None:
    """A candidate that answers as the base does, letter for letter, is neither better nor worse."""
    with open_ledger(tmp_path, "write") as ledger:
        before, after = begin(ledger), begin(ledger, "candidate")
        go_on(ledger, before, Moody(verdict="unscorable"))
        healthy = Moody()
        go_on(ledger, after, healthy)

        comparison = compare((before, ledger.verdicts(before)), (after, ledger.verdicts(after)), "learn")

        assert (comparison.fixed, comparison.broken) == (0, 0)
        assert healthy.seen == []


def test_another_text_or_another_scorer_is_judged_anew(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        evaluation = begin(ledger)
        go_on(ledger, evaluation, Moody())
        example = EXAMPLES[0].id
        known = ledger.answer(evaluation, example)
        assert known is not None
        assert ledger.recall(evaluation, example, known.text) == known.score
        assert ledger.recall(evaluation, example, known.text + ".") is None
        assert ledger.recall(evaluation, "another", known.text) is None
        other = replace(evaluation, scorer="another")
        ledger.open_evaluation(other)
        assert ledger.recall(other, example, known.text) is None


def test_the_noise_floor_does_not_judge_equal_texts_again(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        evaluation = begin(ledger)
        go_on(ledger, evaluation, Moody())
        recorded: dict[str, Response] = {item.example: item for item in ledger.responses(evaluation)}
        noise = measure_noise_floor(TARGET, TASK, Moody(verdict="unscorable"), evaluation, EXAMPLES, recorded)
    assert (noise.texts_differ, noise.verdicts_differ) == (0, 0)


def test_what_is_kept_is_a_record_of_its_own() -> None:
    item = Unjudged(
        evaluation="e", example="x", task="t", split="dev", prompt_hash="p", text="", tokens=0, truncated=False,
        reason="away",
    )  # fmt: skip
    assert item.hash != replace(item, reason="busy").hash
