"""The seven benchmarks: each row shape read rightly, splits that never move, gold responses that score right.

Invented rows show the shapes; the real files, where ERRORBOOK_DATA names their folder, show that nothing else is in
there.
"""

from __future__ import annotations

import ast
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scoring_kit import score_all

from errorbook.adapters.scorers.choice import Choice
from errorbook.adapters.scorers.exact import Exact
from errorbook.adapters.scorers.numeric import Numeric
from errorbook.adapters.tasks.arc import arc
from errorbook.adapters.tasks.bbh import bbh
from errorbook.adapters.tasks.collection import Collection
from errorbook.adapters.tasks.gsm8k import gsm8k
from errorbook.adapters.tasks.gsm_plus import gsm_plus
from errorbook.adapters.tasks.humaneval import humaneval
from errorbook.adapters.tasks.mbpp import mbpp
from errorbook.adapters.tasks.mmlu import mmlu
from errorbook.adapters.tasks.splits import SPLITS, choose_split, drop_repeats, normalise
from errorbook.errors import DataError
from errorbook.interfaces import Scorer
from errorbook.records import Example, Split

Factory = Callable[..., Collection]
BENCHMARKS: tuple[Factory, ...] = (gsm8k, mmlu, mbpp, arc, gsm_plus, humaneval, bbh)
READ_AS_TEXT: tuple[Factory, ...] = (gsm8k, mmlu, arc, gsm_plus, bbh)
SCORERS: dict[str, Scorer] = {"numeric": Numeric(), "choice": Choice(), "exact": Exact()}
REFERENCE = os.environ.get("ERRORBOOK_DATA", "")
SIZES = {
    "gsm8k": {"train": 5967, "dev": 1506, "test": 1319},
    "mmlu": {"train": 1105, "dev": 370, "test": 337},
    "mbpp": {"train": 372, "dev": 90, "test": 499},
    "arc": {"dev": 599, "test": 573},
    "gsm_plus": {"dev": 1184, "test": 1216},
    "humaneval": {"dev": 79, "test": 85},
    "bbh": {"dev": 3267, "test": 3238},
}
named = pytest.mark.parametrize("factory", BENCHMARKS, ids=lambda factory: factory.__name__)
needs_data = pytest.mark.skipif(not REFERENCE, reason="ERRORBOOK_DATA does not name the folder of reference data")


def lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def by_split(task: Collection, seed: int = 0) -> dict[Split, list[Example]]:
    found: dict[Split, list[Example]] = {}
    for split in SPLITS:
        try:
            found[split] = list(task.examples(split, None, seed))
        except DataError:
            continue
    return found


def everything(task: Collection, seed: int = 0) -> list[Example]:
    return [example for examples in by_split(task, seed).values() for example in examples]


class TestReferenceData:
    """The real files."""

    pytestmark = needs_data

    @named
    def test_splits_have_the_documented_sizes(self, factory: Factory) -> None:
        assert {split: len(found) for split, found in by_split(factory()).items()} == SIZES[factory.__name__]

    @named
    def test_no_question_is_in_two_splits_and_no_id_is_there_twice(self, factory: Factory) -> None:
        found = everything(factory())
        splits: dict[object, set[str]] = {}
        for example in found:
            splits.setdefault((normalise(example.question), example.choices), set()).add(example.split)

        assert len({example.id for example in found}) == len(found)
        assert all(len(seen) == 1 for seen in splits.values())

    @named
    def test_the_seed_orders_and_does_not_divide(self, factory: Factory) -> None:
        one, two = by_split(factory(), seed=1), by_split(factory(), seed=2)

        assert one["test"] != two["test"]
        assert {split: {e.hash for e in found} for split, found in one.items()} == {
            split: {e.hash for e in found} for split, found in two.items()
        }

    @pytest.mark.parametrize("factory", READ_AS_TEXT, ids=lambda factory: factory.__name__)
    def test_every_gold_response_scores_right(self, factory: Factory) -> None:
        task = factory()
        scorer = SCORERS[task.scorer]
        missed = [e.id for e in everything(task) if scorer.score(e, task.gold(e)).verdict != "right"]

        assert missed == []

    @pytest.mark.parametrize("factory", READ_AS_TEXT, ids=lambda factory: factory.__name__)
    def test_another_questions_gold_answer_is_right_only_by_chance(self, factory: Factory) -> None:
        task = factory()
        scorer = SCORERS[task.scorer]
        found = everything(task)
        shuffled = random.Random(0).sample(found, len(found))
        pairs = list(zip(found, shuffled, strict=True))
        right = {
            ours.id for ours, other in pairs if scorer.score(ours, task.completion("", other.answer)).verdict == "right"
        }
        share = Counter(example.answer.casefold() for example in found)
        chance = sum(count * count for count in share.values()) / len(found) ** 2

        assert right == {ours.id for ours, other in pairs if same(ours.answer, other.answer)}
        assert abs(len(right) / len(found) - chance) < 0.03

    @pytest.mark.slow
    def test_every_reference_program_of_humaneval_passes(self) -> None:
        from errorbook.adapters.scorers.code import Code

        task = humaneval()
        found = everything(task)
        scores = score_all(Code(), [(example, task.gold(example)) for example in found])

        assert Counter(score.verdict for score in scores) == {"right": 164}

    def test_variants_of_a_question_stay_together(self) -> None:
        text = (Path(REFERENCE) / "gsm_plus/testmini.jsonl").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.split("\n") if line]
        seed_of = {row["question"].strip(): row["seed_question"] for row in rows}
        found = by_split(gsm_plus())
        seeds = {split: {seed_of[example.question] for example in examples} for split, examples in found.items()}

        assert not seeds["dev"] & seeds["test"]
        assert len(seeds["dev"] | seeds["test"]) == 300

    @named
    def test_the_origin_names_files_and_their_hash(self, factory: Factory) -> None:
        origin = factory().origin

        assert origin.startswith(f"{factory.__name__}/")
        assert "blake2b:" in origin


def same(one: str, other: str) -> bool:
    """Equal as text, whatever its case, or as numbers ("2" and "2.0")."""
    return one.casefold() == other.casefold() or Numeric().score(example_of(one), f"Answer: {other}").verdict == "right"


def example_of(answer: str) -> Example:
    return Example(id="1", task="t", split="test", question="q", answer=answer)


class TestShapes:
    """Invented rows, one shape each."""

    def test_gsm8k_takes_the_number_after_the_mark_and_drops_the_calculator(self, tmp_path: Path) -> None:
        row = {"question": " How many? ", "answer": "He has 2*600 = <<2*600=1200>>1,200.\n#### 1,200"}
        lines(tmp_path / "test.jsonl", [row])
        task = gsm8k(path=str(tmp_path))
        [example] = everything(task)

        assert (example.question, example.answer, example.solution) == ("How many?", "1200", "He has 2*600 = 1,200.")
        assert task.gold(example) == "He has 2*600 = 1,200.\nAnswer: 1200"
        assert task.prompt("How many?").startswith("How many?\n\nSolve this step by step")

    def test_gsm_plus_keeps_unanswerable_questions(self, tmp_path: Path) -> None:
        row = {
            "question": "How many?",
            "solution": "Nobody knows.\n#### None",
            "answer": "None",
            "perturbation_type": "critical thinking",
            "seed_question": "How many of 3?",
        }
        lines(tmp_path / "testmini.jsonl", [row])
        task = gsm_plus(path=str(tmp_path))
        [example] = everything(task)

        assert (example.answer, example.solution, example.skill) == ("None", "Nobody knows.", "critical thinking")
        assert 'end with "Answer: None"' in task.prompt(example.question)
        assert Numeric().score(example, task.gold(example)).verdict == "right"
        assert Numeric().score(example, "Answer: 3").verdict == "wrong"

    def test_mmlu_reads_columns_and_lists(self, tmp_path: Path) -> None:
        columns = {"question": "Q1", "A": "one", "B": "two", "C": "three", "D": "four", "answer": "C", "subject": "s"}
        listed = {"question": "Q2", "choices": ["one", "two", "three", "four"], "answer": 2, "subject": "s"}
        lines(tmp_path / "train.jsonl", [columns, listed])
        found = everything(mmlu(path=str(tmp_path)))

        assert {(e.question, e.answer, e.choices[2], e.skill) for e in found} == {
            ("Q1", "C", "three", "s"),
            ("Q2", "C", "three", "s"),
        }

    def test_mmlus_dev_is_the_same_with_and_without_test_questions(self, tmp_path: Path) -> None:
        rows = [{"question": f"Q{n}", "choices": ["a", "b"], "answer": 0, "subject": "s"} for n in range(100)]
        lines(tmp_path / "alone/train.jsonl", rows)
        lines(tmp_path / "both/train.jsonl", rows)
        lines(tmp_path / "both/test.jsonl", [{**rows[0], "question": "T"}])
        alone, both = (by_split(mmlu(path=str(tmp_path / name))) for name in ("alone", "both"))

        assert alone["dev"] == both["dev"]
        assert {e.question for e in both["train"]} == {e.question for e in alone["train"] + alone["test"]}
        assert [e.question for e in both["test"]] == ["T"]

    def test_arcs_numbered_labels_become_letters(self, tmp_path: Path) -> None:
        numbered = {"id": "a", "question": "Q1", "answer": "3", "1": "x", "2": "y", "3": "z", "label": ["1", "2", "3"]}
        choices = {"text": ["x", "y", "z"], "label": ["1", "2", "3"]}
        hub = {"id": "b", "question": "Q2", "choices": choices, "answerKey": "3"}
        lines(tmp_path / "test.jsonl", [numbered, hub])
        found = everything(arc(path=str(tmp_path)))

        assert sorted((e.id, e.answer, e.choices) for e in found) == [
            ("a", "C", ("x", "y", "z")),
            ("b", "C", ("x", "y", "z")),
        ]

    def test_mbpp_reads_the_papers_rows_and_the_hubs(self, tmp_path: Path) -> None:
        test = "def check(candidate):\n    assert candidate(2) == 4\n"
        papers = {"task_id": 601, "prompt": "def twice(n):\n    ...\n", "test": test, "entry_point": "twice"}
        hubs = {
            "task_id": 511,
            "text": "Write a function to double a number.",
            "code": "def twice(n):\r\n  return 2 * n",
            "test_setup_code": "import math",
            "test_list": ["assert set(twice(2)) == {4}", "assert math.isclose(twice(1), 2)"],
        }
        lines(tmp_path / "train.jsonl", [papers, hubs])
        task = mbpp(path=str(tmp_path))
        found = by_split(task)
        [ours], [theirs] = found["train"], found["dev"]

        assert ours.tests == f"{test}check(twice)"
        assert theirs.tests == (
            "import math\ndef check(candidate):\n    twice = candidate\n    assert set(twice(2)) == {4}\n"
            "    assert math.isclose(twice(1), 2)\ncheck(twice)"
        )
        assert theirs.question.endswith("assert set(twice(2)) == {4}")
        assert task.gold(theirs) == "```python\ndef twice(n):\n  return 2 * n\n```"
        with pytest.raises(DataError, match="has no reference answer"):
            task.gold(ours)
        assert all(ast.parse(example.tests) for example in (ours, theirs))

    def test_humanevals_gold_is_a_whole_program(self, tmp_path: Path) -> None:
        row = {
            "task_id": "HumanEval/900",
            "prompt": "\ndef one():\n    ''' One. '''\n",
            "canonical_solution": "    return 1\n",
            "test": "\n\ndef check(candidate):\n    assert candidate() == 1\n",
            "entry_point": "one",
        }
        lines(tmp_path / "test.jsonl", [row])
        task = humaneval(path=str(tmp_path))
        [example] = everything(task)

        assert task.gold(example) == "```python\ndef one():\n    ''' One. '''\n    return 1\n```"
        assert example.tests.endswith("\ncheck(one)")

    @pytest.mark.parametrize(
        ("text", "target", "question", "choices", "answer"),
        [
            ("Which?\nOptions:\n(A) x\n(B) y z", "(B)", "Which?", ("x", "y z"), "B"),
            ("Is it?\nOptions:\n- Yes\n- No", "No", "Is it?\nOptions:\n- Yes\n- No", (), "No"),
            ("Torn?\nOptions:\n(A) x\n(B) y", "x, y", "Torn?\nOptions:\n(A) x\n(B) y", (), "x, y"),
            ("Close: ( [", "] )", "Close: ( [", (), "] )"),
        ],
    )
    def test_bbh_options_become_choices(
        self, tmp_path: Path, text: str, target: str, question: str, choices: tuple[str, ...], answer: str
    ) -> None:
        lines(tmp_path / "some_subtask.jsonl", [{"input": text, "target": target}])
        task = bbh(path=str(tmp_path))
        [example] = everything(task)

        assert (example.question, example.choices, example.answer) == (question, choices, answer)
        assert example.skill == "some_subtask"
        assert Exact().score(example, task.gold(example)).verdict == "right"


class TestSources:
    """Where the rows come from makes no difference to what they are."""

    def test_the_hub_and_local_files_give_the_same_examples(self, tmp_path: Path) -> None:
        pytest.importorskip("datasets")
        parts = {
            part: [{"question": f"{part} {n}?", "answer": f"So.\n#### {n}"} for n in range(30)]
            for part in ("train", "test")
        }
        for part, rows in parts.items():
            lines(tmp_path / "local" / f"{part}.jsonl", rows)
            lines(tmp_path / "repository" / f"{part}.jsonl", rows)
        card = "configs:\n- config_name: main\n  data_files:\n"
        files = "".join(f"  - split: {part}\n    path: {part}.jsonl\n" for part in parts)
        (tmp_path / "repository/README.md").write_text(f"---\n{card}{files}---\n", encoding="utf-8")
        local = gsm8k(path=str(tmp_path / "local"))
        hub = gsm8k(dataset=str(tmp_path / "repository"))

        assert by_split(local) == by_split(hub)
        assert "main/train" in hub.origin
        assert "blake2b:" in hub.origin

    def test_the_folder_of_the_environment_is_used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ERRORBOOK_DATA", str(tmp_path))
        lines(tmp_path / "gsm8k/test.jsonl", [{"question": "Q", "answer": "#### 1"}])

        assert [example.answer for example in everything(gsm8k())] == ["1"]

    @named
    def test_a_folder_without_the_benchmark_is_one_sentence(self, factory: Factory, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=rf"holds no data of '{factory.__name__}' .*check the task's 'path'"):
            factory(path=str(tmp_path)).examples("test", 1, 0)

    def test_a_row_of_another_shape_names_its_line(self, tmp_path: Path) -> None:
        lines(tmp_path / "test.jsonl", [{"question": "Q", "answer": "#### 1"}, {"frage": "Q"}])

        with pytest.raises(DataError, match=r"Line 2 of .*test\.jsonl has no column 'answer', it has frage; give"):
            gsm8k(path=str(tmp_path)).examples("test", 1, 0)

    @pytest.mark.parametrize(
        ("factory", "row", "message"),
        [
            (gsm8k, {"question": "Q", "answer": "no mark"}, "has no '####'"),
            (mbpp, {"task_id": "x", "prompt": "p", "test": "t", "entry_point": "f"}, "is no row of 'mbpp'"),
            (arc, {"id": "1", "question": "Q", "answer": "E", "A": "x", "B": "y", "label": ["A", "B"]}, "none of A, B"),
        ],
    )
    def test_a_row_that_makes_no_sense_names_its_line(
        self, tmp_path: Path, factory: Factory, row: Mapping[str, Any], message: str
    ) -> None:
        lines(tmp_path / "test.jsonl", [row])

        with pytest.raises(DataError, match=rf"Line 1 of .*{message}"):
            factory(path=str(tmp_path)).examples("test", 1, 0)

    def test_a_benchmark_that_is_a_test_set_only_has_no_train_split(self, tmp_path: Path) -> None:
        rows = [{"input": f"{n} + 1 =", "target": str(n + 1)} for n in range(20)]
        lines(tmp_path / "sums.jsonl", rows)
        task = bbh(path=str(tmp_path))

        assert set(by_split(task)) == {"dev", "test"}
        with pytest.raises(DataError, match="'bbh' has no example in the train split; set train = 0 for this task"):
            task.examples("train", 5, 0)


class TestDivision:
    @given(st.text(min_size=1), st.sampled_from(SPLITS), st.sets(st.sampled_from(SPLITS)))
    def test_equal_questions_share_a_split_and_no_split_leaks_into_train(
        self, question: str, part: Split, others: set[Split]
    ) -> None:
        parts = others | {part}
        split = choose_split(question, part, parts)

        assert choose_split(f"  {question.upper()} ", part, parts) == choose_split(question.upper(), part, parts)
        assert split == part or part != "dev"
        assert split != "train" or part == "train"
        assert not (split != part and split in parts)

    def test_a_repeated_question_is_kept_once_in_the_later_split(self) -> None:
        one = Example(id="1", task="t", split="train", question="Why?", answer="so")
        two = Example(id="2", task="t", split="test", question="why? ", answer="so")

        assert drop_repeats([one, two, two]) == [two]

    def test_a_question_with_two_gold_answers_is_left_out(self) -> None:
        yes = Example(id="1", task="t", split="test", question="Why?", answer="yes")
        no = Example(id="2", task="t", split="test", question="Why?", answer="no")
        options = Example(id="3", task="t", split="test", question="Why?", answer="A", choices=("x", "y"))

        assert drop_repeats([yes, no, options]) == [options]
