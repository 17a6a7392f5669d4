"""A ledger seen as a run: what it was begun with, which checkpoints it kept, and what each of them answered."""

from __future__ import annotations

import pytest
from ledger_kit import make_evaluation, make_response, record_answers

from errorbook.config import Config, RunSection, TaskSection, dump
from errorbook.errors import LedgerError
from errorbook.ledger import keys
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import Checkpoints, budget, note_budget, read_config
from errorbook.records import Checkpoint, Decision, Evaluation, Outcome, Verdict

CONFIG = Config(
    run=RunSection(name="view", cycles=3),
    tasks=(
        TaskSection(name="sums"),
        TaskSection(name="words"),
        TaskSection(name="chat", role="guard", margin=0.1),
    ),
)
BASE = Checkpoint(base="tiny", base_fingerprint="f")


def decide(ledger: Ledger, cycle: int, checkpoint: str, outcome: Outcome) -> None:
    decision = Decision(cycle=cycle, outcome=outcome, reason="r", checkpoint=checkpoint, candidate=f"candidate {cycle}")
    ledger.append(decision, keys.decision(cycle), cycle)


def ask(ledger: Ledger, checkpoint: str, task: str, verdicts: str, n: int = 3) -> Evaluation:
    """An evaluation of `n` train questions with these verdicts, a letter each."""
    names: dict[str, Verdict] = {"r": "right", "w": "wrong", "u": "unscorable"}
    evaluation = make_evaluation(checkpoint=checkpoint, task=task, n=n)
    return record_answers(ledger, evaluation, {f"q{place}": names[one] for place, one in enumerate(verdicts)})


def test_the_configuration_is_the_one_that_the_run_was_begun_with(ledger: Ledger) -> None:
    with pytest.raises(LedgerError) as caught:
        read_config(ledger)
    assert str(caught.value) == f"The ledger '{ledger.path}' holds no run yet; start one with 'errorbook run FILE'."
    ledger.state("config", dump(CONFIG))
    assert read_config(ledger) == CONFIG


def test_a_configuration_of_another_version_is_refused_in_one_sentence(ledger: Ledger) -> None:
    ledger.state("config", '{"run": {"name": "x", "colour": "red"}, "tasks": []}')
    with pytest.raises(LedgerError) as caught:
        read_config(ledger)
    text = str(caught.value)
    assert text.startswith(f"The ledger '{ledger.path}' was begun by another version of Errorbook (")
    assert "colour" in text
    assert text.endswith("); read it with that one.")


def test_the_newest_cap_counts_and_each_change_is_kept(ledger: Ledger) -> None:
    assert budget(ledger) is None
    note_budget(ledger, 0.5)
    assert budget(ledger) == 0.5
    assert (ledger.fact("budget 0"), ledger.fact("budget 1"), ledger.fact("budget 2")) == (None, "0.5", None)
    note_budget(ledger, 0.5)
    assert ledger.fact("budget 2") is None
    note_budget(ledger, 40.0)
    assert budget(ledger) == 40.0
    note_budget(ledger, 0.5)
    note_budget(ledger, None)
    assert budget(ledger) is None
    note_budget(ledger, None)
    note_budget(ledger, 0.1 + 0.2)
    assert budget(ledger) == 0.1 + 0.2
    assert [ledger.fact(f"budget {number}") for number in range(1, 7)] == [
        "0.5",
        "40.0",
        "0.5",
        "",
        "0.30000000000000004",
        None,
    ]


def test_no_cap_at_first_is_kept_too(ledger: Ledger) -> None:
    note_budget(ledger, None)
    assert ledger.fact("budget 1") == ""
    assert budget(ledger) is None


def test_an_empty_ledger_has_no_checkpoints(ledger: Ledger) -> None:
    view = Checkpoints(ledger)
    assert (view.base, view.final, view.chain, view.decisions) == ("", "", (), [])
    assert view.final_is_base
    assert view.starting(1) == ""
    assert view.mistakes(CONFIG, 1) is None
    assert view.final_train_verdicts("sums") == {}


def test_a_run_that_decided_nothing_ends_with_its_base(ledger: Ledger) -> None:
    ledger.append(Checkpoint(base="other", base_fingerprint="f"), keys.candidate(1, 1))
    ledger.append(BASE, keys.BASE)
    view = Checkpoints(ledger)
    assert (view.base, view.final, view.chain) == (BASE.hash, BASE.hash, (BASE.hash,))
    assert view.final_is_base
    assert [view.starting(cycle) for cycle in (1, 2)] == [BASE.hash, BASE.hash]


def test_a_cycle_starts_from_what_the_one_before_it_kept(ledger: Ledger) -> None:
    ledger.append(BASE, keys.BASE)
    decide(ledger, 2, "first", "reject")
    decide(ledger, 1, "first", "accept")
    decide(ledger, 3, "second", "accept")
    view = Checkpoints(ledger)
    assert [decision.cycle for decision in view.decisions] == [1, 2, 3]
    assert view.final == "second"
    assert not view.final_is_base
    assert view.chain == (BASE.hash, "first", "second")
    starts = [view.starting(cycle) for cycle in range(1, 6)]
    assert starts == [BASE.hash, "first", "first", "second", BASE.hash]


def test_a_run_whose_candidates_were_all_refused_keeps_its_base(ledger: Ledger) -> None:
    ledger.append(BASE, keys.BASE)
    decide(ledger, 1, BASE.hash, "reject")
    view = Checkpoints(ledger)
    assert view.final_is_base
    assert view.chain == (BASE.hash,)


def test_an_evaluation_is_complete_if_every_question_is_answered(ledger: Ledger) -> None:
    whole, part = ask(ledger, "a", "sums", "rwu"), ask(ledger, "b", "sums", "rw")
    view = Checkpoints(ledger)
    assert view.evaluation("a", "sums", "train") == view.complete("a", "sums", "train") == whole
    assert view.evaluation("b", "sums", "train") == part
    assert view.complete("b", "sums", "train") is None
    for place in (("a", "sums", "dev"), ("a", "words", "train"), ("c", "sums", "train")):
        assert view.evaluation(*place) is None
        assert view.complete(*place) is None
    ledger.append_responses([make_response(part, "q2")])
    assert view.complete("b", "sums", "train") == part


def test_the_final_verdicts_on_train_wait_until_all_questions_are_asked_again(ledger: Ledger) -> None:
    ledger.append(BASE, keys.BASE)
    ask(ledger, BASE.hash, "sums", "rwu")
    assert Checkpoints(ledger).final_train_verdicts("sums") == {}  # nothing was decided: they were asked once
    decide(ledger, 1, "first", "accept")
    again = ask(ledger, "first", "sums", "wr")
    assert Checkpoints(ledger).final_train_verdicts("sums") == {}
    ledger.append_responses([make_response(again, "q2")])
    view = Checkpoints(ledger)
    assert view.final_train_verdicts("sums") == {"q0": "wrong", "q1": "right", "q2": "right"}
    assert view.final_train_verdicts("sums") is view.final_train_verdicts("sums")
    assert view.final_train_verdicts("words") == {}


def test_mistakes_are_the_wrong_answers_to_all_that_is_learnt(ledger: Ledger) -> None:
    ledger.append(BASE, keys.BASE)
    ask(ledger, BASE.hash, "sums", "wwu")
    assert Checkpoints(ledger).mistakes(CONFIG, 1) is None
    ask(ledger, BASE.hash, "words", "wr", n=2)
    assert Checkpoints(ledger).mistakes(CONFIG, 1) == 3
    assert Checkpoints(ledger).mistakes(CONFIG, 2) is None
    decide(ledger, 1, "first", "accept")
    assert Checkpoints(ledger).mistakes(CONFIG, 2) is None
    ask(ledger, "first", "sums", "rrr")
    ask(ledger, "first", "words", "w", n=1)
    decide(ledger, 2, "second", "accept")
    ask(ledger, "second", "sums", "wrw")
    ask(ledger, "second", "words", "w", n=1)
    view = Checkpoints(ledger)
    assert [view.mistakes(CONFIG, cycle) for cycle in (1, 2, 3, 4)] == [3, 1, 3, None]
