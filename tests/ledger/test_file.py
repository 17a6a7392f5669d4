"""The ledger's file in detail: what each question finds, what it leaves out, in which order, and what is refused.

What holds it together (keys, one writer, a full disk, a kill) is in `test_ledger.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ledger_kit import (
    make_draft,
    make_evaluation,
    make_example,
    make_response,
    make_sample,
    record_answers,
    record_examples,
)

from errorbook.errors import LedgerError
from errorbook.ledger.counts import Spent, read_costs, read_spent
from errorbook.ledger.events import Event
from errorbook.ledger.file import Entry, Ledger, ResponseTally, SkillCount, open_ledger
from errorbook.records import Call, Draft, Sample

FIRST, SECOND, ABSENT = (make_evaluation(checkpoint=name) for name in ("first", "second", "absent"))


def rows(ledger: Ledger, table: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in ledger.connection.execute(f"SELECT * FROM {table} ORDER BY seq")]


# where the file is, and how it is opened -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "file"),
    [
        ("run", "run/ledger.sqlite"),
        ("a/b", "a/b/ledger.sqlite"),
        ("a/b/other.db", "a/b/other.db"),
        ("v1.5", "v1.5/ledger.sqlite"),
    ],
)
def test_a_folder_or_a_file_may_be_given(tmp_path: Path, given: str, file: str) -> None:
    (tmp_path / "v1.5").mkdir()
    with open_ledger(str(tmp_path / given), "write") as ledger:
        assert ledger.path == tmp_path / file
        assert ledger.root == (tmp_path / file).parent
        assert ledger.path.is_file()
        assert ledger.path.with_suffix(".lock").is_file()
    with open_ledger(tmp_path / given) as ledger:
        assert ledger.path == tmp_path / file


def test_reading_makes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ledger.sqlite"
    with pytest.raises(LedgerError) as caught:
        open_ledger(path).__enter__()
    assert str(caught.value) == f"There is no ledger at '{path}'; give the folder of a run that was started."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["read", "write"])
def test_what_is_no_ledger_is_named(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("I am a shopping list, and a long one at that." * 50)
    with pytest.raises(LedgerError) as caught:
        open_ledger(path, mode).__enter__()  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"'{path}' is not a ledger, or ")


@pytest.mark.parametrize("mode", ["read", "write"])
def test_each_connection_is_set_for_commits_that_survive_and_references_that_hold(ledger: Ledger, mode: str) -> None:
    def pragma(connection: Any, name: str) -> Any:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]

    names = ("journal_mode", "foreign_keys", "cache_size", "synchronous", "wal_autocheckpoint")
    if mode == "write":
        assert [pragma(ledger.connection, name) for name in names] == ["wal", 1, -65536, 1, 8192]
    else:
        with open_ledger(ledger.path) as reader:
            assert [pragma(reader.connection, name) for name in names[:3]] == ["wal", 1, -65536]


def test_a_reader_cannot_write(ledger: Ledger) -> None:
    with open_ledger(ledger.path) as reader:
        sentence = f"The ledger '{ledger.path}' cannot be opened for writing; check the folder's permissions."
        for write in (
            lambda: reader.append(make_sample(1), "k"),
            lambda: reader.state("config", "x"),
            lambda: reader.begin(Event("write", 1, 0, 1)),
        ):
            with pytest.raises(LedgerError) as caught:
                write()
            assert str(caught.value) == sentence
    assert ledger.count(Sample) == 0


def test_a_second_writer_is_told_which_ledger_is_written_to(ledger: Ledger) -> None:
    with pytest.raises(LedgerError) as caught:
        open_ledger(ledger.path, "write").__enter__()
    assert str(caught.value) == f"Another process is writing to '{ledger.path}'; wait for it or stop it."


def test_a_folder_that_cannot_hold_a_lock_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "ledger.lock").mkdir()
    with pytest.raises(LedgerError, match=rf"^The folder '{tmp_path}' cannot be written \(.+\)\.$"):
        open_ledger(tmp_path, "write").__enter__()


# facts and records -----------------------------------------------------------------------------------------------


def test_a_fact_is_found_by_its_name(ledger: Ledger) -> None:
    ledger.state("config", "a")
    ledger.state("version", "b")
    assert (ledger.fact("config"), ledger.fact("version"), ledger.fact("plugins")) == ("a", "b", None)
    with pytest.raises(LedgerError) as caught:
        ledger.state("version", "c")
    sentence = f"The ledger '{ledger.path}' holds another version for this run; use another --out folder."
    assert str(caught.value) == sentence
    assert ledger.fact("version") == "b"


def test_a_row_holds_all_that_was_given(ledger: Ledger) -> None:
    ledger.append(make_sample(1), "bare")
    ledger.append(make_sample(2), "full", 3, "parent")
    ledger.extend([Entry(make_draft(1), "d"), Entry(make_draft(2), "e", "p")])
    ledger.extend([Entry(make_draft(3), "f")], 7)
    assert [row[:6] for row in rows(ledger, "records")] == [
        (1, "Sample", "bare", make_sample(1).hash, "", 0),
        (2, "Sample", "full", make_sample(2).hash, "parent", 3),
        (3, "Draft", "d", make_draft(1).hash, "", 0),
        (4, "Draft", "e", make_draft(2).hash, "p", 0),
        (5, "Draft", "f", make_draft(3).hash, "", 7),
    ]


def test_a_record_is_found_among_those_of_its_kind(ledger: Ledger) -> None:
    ledger.append(make_draft(1), "k")
    assert ledger.find(Sample, "k") is None
    assert ledger.get(Sample, make_draft(1).hash) is None
    ledger.append(make_sample(1), "k")
    assert ledger.find(Sample, "k") == make_sample(1)
    assert ledger.get(Draft, make_draft(1).hash) == make_draft(1)
    assert ledger.get(Draft, "nothing") is None


def test_records_are_picked_by_cycle_and_parent_in_the_order_of_appending(ledger: Ledger) -> None:
    for number, (key, cycle, parent) in enumerate([("z", 1, "p"), ("y", 2, "p"), ("x", 1, ""), ("a", 0, "q")]):
        ledger.append(make_sample(number), key, cycle, parent)
    ledger.append(make_draft(9), "z", 1, "p")

    def find(**given: Any) -> list[str]:
        return [sample.draft for sample in ledger.all(Sample, **given)]

    assert find() == ["d0", "d1", "d2", "d3"]
    assert (find(cycle=1), find(cycle=0), find(cycle=3)) == (["d0", "d2"], ["d3"], [])
    assert (find(parent="p"), find(parent=""), find(parent="r")) == (["d0", "d1"], ["d2"], [])
    assert find(cycle=1, parent="p") == ["d0"]
    assert ledger.keys(Sample) == {"z", "y", "x", "a"}
    assert (ledger.keys(Sample, 1), ledger.keys(Sample, 0), ledger.keys(Draft, 2)) == ({"z", "x"}, {"a"}, set())
    assert (ledger.count(Sample), ledger.count(Sample, 1), ledger.count(Draft, 2)) == (4, 2, 0)
    assert list(ledger.by_hash(Sample)) == [(make_sample(n).hash, make_sample(n)) for n in range(4)]
    assert list(ledger.by_hash(Draft)) == [(make_draft(9).hash, make_draft(9))]


# responses -------------------------------------------------------------------------------------------------------


def test_an_evaluation_is_led_to_by_its_checkpoint(ledger: Ledger) -> None:
    ledger.open_evaluation(FIRST, 4)
    ledger.open_evaluation(SECOND)
    ledger.open_evaluation(FIRST, 9)
    assert [row[1:6] for row in rows(ledger, "records")] == [
        ("Evaluation", FIRST.hash, FIRST.hash, "first", 4),
        ("Evaluation", SECOND.hash, SECOND.hash, "second", 0),
    ]


def test_responses_are_numbered_without_gaps_and_lie_beside_their_texts(ledger: Ledger) -> None:
    ledger.append(make_sample(1), "k")
    ledger.open_evaluation(FIRST)
    ledger.open_evaluation(SECOND)
    known = make_response(FIRST, "a", "wrong", truncated=True, tokens=7)
    ledger.append_responses([known])
    more = [make_response(SECOND, "c"), make_response(FIRST, "a"), make_response(FIRST, "b", "unscorable", tokens=0)]
    ledger.append_responses([])
    ledger.append_responses(more)
    assert rows(ledger, "responses") == [
        (2, "a", "wrong", 1, 7, known.hash, 1),
        (3, "c", "right", 0, 5, more[0].hash, 2),
        (2, "b", "unscorable", 0, 0, more[2].hash, 3),
    ]
    assert [row[0] for row in rows(ledger, "bodies")] == [1, 2, 3]
    assert [ledger.response(response.hash) for response in (known, *more)] == [known, more[0], None, more[2]]


def test_responses_of_an_unknown_evaluation_are_refused_whole(ledger: Ledger) -> None:
    ledger.open_evaluation(FIRST)
    with pytest.raises(LedgerError) as caught:
        ledger.append_responses([make_response(FIRST, "a"), make_response(ABSENT, "a")])
    sentence = f"The ledger '{ledger.path}' has no evaluation {ABSENT.hash}; open it before appending to it."
    assert str(caught.value) == sentence
    assert ledger.answered(FIRST) == set()
    ledger.append(make_sample(1), ABSENT.hash)
    with pytest.raises(LedgerError, match="has no evaluation"):
        ledger.answered(ABSENT)


def test_responses_are_those_of_one_evaluation_by_example(ledger: Ledger) -> None:
    record_answers(ledger, FIRST, {"c": "wrong", "a": "right", "b": "unscorable", "d": "wrong"})
    record_answers(ledger, SECOND, {"e": "wrong", "a": "wrong"})

    assert ledger.answered(FIRST) == {"a", "b", "c", "d"}
    assert [one.example for one in ledger.responses(FIRST)] == ["a", "b", "c", "d"]
    assert [one.example for one in ledger.responses(FIRST, "wrong")] == ["c", "d"]
    assert [one.example for one in ledger.responses(SECOND, "right")] == []
    verdicts = ledger.verdicts(FIRST)
    assert list(verdicts.items()) == [("a", "right"), ("b", "unscorable"), ("c", "wrong"), ("d", "wrong")]
    assert ledger.answer(FIRST, "a") == make_response(FIRST, "a")
    assert ledger.answer(SECOND, "a") == make_response(SECOND, "a", "wrong")
    assert ledger.answer(SECOND, "b") is None


def test_a_response_is_found_by_its_hash_with_or_without_its_example(ledger: Ledger) -> None:
    record_answers(ledger, FIRST, {"a": "right", "b": "right"})
    record_answers(ledger, SECOND, {"a": "right"})
    wanted = make_response(SECOND, "a")
    assert ledger.response(wanted.hash) == ledger.response(wanted.hash, "a") == wanted
    assert ledger.response(wanted.hash, "b") is None
    assert ledger.response("nothing") is None
    assert ledger.response("nothing", "a") is None


def test_a_tally_grows_until_every_question_is_answered(ledger: Ledger) -> None:
    record_answers(ledger, SECOND, {"a": "right"})
    ledger.open_evaluation(FIRST)
    assert ledger.tally(FIRST) == ResponseTally(n=0, right=0, wrong=0, unscorable=0, truncated=0, tokens=0)
    ledger.append_responses([make_response(FIRST, "a", "wrong", truncated=True, tokens=7)])
    assert ledger.tally(FIRST) == ResponseTally(n=1, right=0, wrong=1, unscorable=0, truncated=1, tokens=7)
    ledger.append_responses([make_response(FIRST, "b", "unscorable"), make_response(FIRST, "c", truncated=True)])
    whole = ResponseTally(n=3, right=1, wrong=1, unscorable=1, truncated=2, tokens=17)
    assert ledger.tally(FIRST) == whole
    assert ledger.tally(FIRST) is ledger.tally(FIRST)  # counted once: nothing is added any more
    assert ledger.tally(SECOND) is not ledger.tally(SECOND)


def test_words_are_compared_question_by_question(ledger: Ledger) -> None:
    ledger.open_evaluation(FIRST)
    ledger.open_evaluation(SECOND)
    record_answers(ledger, make_evaluation(checkpoint="third"), {"a": "right", "b": "right"})
    ledger.append_responses([make_response(FIRST, id) for id in "abcd"])
    ledger.append_responses([make_response(SECOND, id, prompt_hash="other") for id in "dca"])
    ledger.append_responses([make_response(SECOND, "b")])
    assert ledger.reworded(FIRST, SECOND) == ledger.reworded(SECOND, FIRST) == 3
    assert ledger.reworded(FIRST, FIRST) == 0


def test_skills_are_counted_as_both_answered(ledger: Ledger) -> None:
    skills = {"a": "carry", "b": "carry", "c": "add", "d": "add", "e": "", "f": "add"}
    record_examples(ledger, [make_example(id, skill=skill) for id, skill in skills.items()])
    record_examples(ledger, [make_example("a", split="dev", skill="dev"), make_example("a", task="words", skill="w")])
    ledger.append(make_sample(1, skill="of a sample"), "sums:train:g")
    record_answers(ledger, make_evaluation(checkpoint="third"), {"a": "right"})
    ledger.open_evaluation(FIRST)
    ledger.open_evaluation(SECOND)
    ledger.append_responses([make_response(FIRST, id, "wrong", truncated=id == "b") for id in "abcdeg"])
    ledger.append_responses([make_response(SECOND, id, truncated=id == "a") for id in "abdefg"])

    assert ledger.by_skill(FIRST, SECOND) == [
        SkillCount("add", before="wrong", before_truncated=False, after=None, after_truncated=False, n=1),
        SkillCount("add", before="wrong", before_truncated=False, after="right", after_truncated=False, n=1),
        SkillCount("carry", before="wrong", before_truncated=False, after="right", after_truncated=True, n=1),
        SkillCount("carry", before="wrong", before_truncated=True, after="right", after_truncated=False, n=1),
    ]
    assert ledger.by_skill(FIRST, None) == [
        SkillCount("add", before="wrong", before_truncated=False, after=None, after_truncated=False, n=2),
        SkillCount("carry", before="wrong", before_truncated=False, after=None, after_truncated=False, n=1),
        SkillCount("carry", before="wrong", before_truncated=True, after=None, after_truncated=False, n=1),
    ]
    kinds = {type(value) for count in ledger.by_skill(FIRST, SECOND) for value in (count[2], count[4])}
    assert kinds == {bool}


# events, the whole, costs ----------------------------------------------------------------------------------------


def test_a_stage_that_begins_is_noted_with_all_that_is_said_of_it(ledger: Ledger) -> None:
    event = Event("evaluate", 2, 5, 10, "sums", "dev", at=3.5, seconds=9.0)
    assert ledger.begin(event) == 1
    assert ledger.events() == [event._replace(done=0, seconds=0.0)]
    ledger.advance(1, 10, 0.0)
    assert ledger.begin(event) == 2  # it ended, so it is another
    assert ledger.begin(event._replace(stage="noise")) == 3
    assert ledger.begin(event._replace(at=77.0)) == 4  # goes on, and is the last event now
    assert [(one.stage, one.done, one.at) for one in ledger.events()] == [
        ("evaluate", 10, 3.5),
        ("noise", 0, 3.5),
        ("evaluate", 0, 3.5),
    ]


@pytest.mark.parametrize(
    "change", [{"cycle": 1}, {"total": 11}, {"task": "words"}, {"split": "test"}, {"stage": "score"}]
)
def test_a_stage_goes_on_only_if_all_its_names_are_the_same(ledger: Ledger, change: dict[str, Any]) -> None:
    event = Event("evaluate", 2, 0, 10, "sums", "dev")
    assert ledger.begin(event) == 1
    assert ledger.begin(event._replace(**change)) == 2
    assert len(ledger.events()) == 2


def test_a_stage_advances_alone_and_never_goes_back(ledger: Ledger) -> None:
    numbers = [ledger.begin(Event("write", cycle, 0, 10)) for cycle in (1, 2)]
    ledger.advance(numbers[0], 4, 1.5)
    ledger.advance(numbers[0], 3, 2.0)
    assert [(one.done, one.seconds) for one in ledger.events()] == [(4, 3.5), (0, 0.0)]


def test_the_digest_is_of_the_whole_content_and_of_nothing_else(tmp_path: Path) -> None:
    base: list[Any] = [(make_sample(1), "a", 1, "p"), (make_sample(2), "b", 1, "p"), (make_draft(1), "a", 1, "p")]

    def digest(name: str, records: list[Any], examples: str, event: int = 0, verdict: Any = "right") -> str:
        with open_ledger(tmp_path / name, "write") as ledger:
            for record in records:
                ledger.append(*record)
            ledger.open_evaluation(FIRST)
            ledger.append_responses([make_response(FIRST, example, verdict) for example in examples])
            for _ in range(event):
                ledger.begin(Event("write", 1, 0, 10, at=4.0))
            return ledger.digest()

    whole = digest("whole", base, "ab")
    assert digest("again", base[::-1], "ba", event=2) == whole
    other = [
        digest("fewer", base[1:], "ab"),
        digest("key", [(make_sample(1), "c", 1, "p"), *base[1:]], "ab"),
        digest("cycle", [(make_sample(1), "a", 2, "p"), *base[1:]], "ab"),
        digest("parent", [(make_sample(1), "a", 1, "q"), *base[1:]], "ab"),
        digest("content", [(make_sample(3), "a", 1, "p"), *base[1:]], "ab"),
        digest("response", base, "a"),
        digest("verdict", base, "ab", verdict="wrong"),
    ]
    assert len({whole, *other}) == len(other) + 1


def call(number: int, usd: float, **changes: Any) -> Call:
    return Call(instructor="i", purpose="write", subject=str(number), cost_usd=usd, **changes)


def test_costs_are_those_of_calls_with_what_led_to_them(ledger: Ledger) -> None:
    assert (list(read_costs(ledger)), read_spent(ledger), ledger.total_cost()) == ([], Spent(0, 0, 0), 0.0)
    ledger.append(make_sample(1), "s", parent="of a sample")
    ledger.append(call(1, 0.25, input_tokens=3, output_tokens=5), "a", parent="p")
    ledger.append(call(2, 0.0), "b", parent="q")
    ledger.append(call(3, 1.5, input_tokens=10), "c", parent="p")
    assert sorted(read_costs(ledger)) == [("p", 0.25), ("p", 1.5), ("q", 0.0)]
    assert {type(usd) for _, usd in read_costs(ledger)} == {float}
    assert read_spent(ledger) == Spent(calls=3, input_tokens=13, output_tokens=5)


def test_the_total_cost_grows_with_each_call_and_counts_none_twice(ledger: Ledger) -> None:
    assert ledger.total_cost() == 0.0
    for number in range(4):
        ledger.append(call(number, 2.0**-number), f"c{number}")
        ledger.append(make_sample(number), f"s{number}")
        for _ in range(2):
            assert ledger.total_cost() == 2 - 2.0**-number
    with open_ledger(ledger.path) as reader:
        assert reader.total_cost() == 1.875
