"""Borrowed examples: Reasoning Gym, the lm-evaluation-harness and inspect_ai, each driven for real where installed."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from errorbook.adapters.scorers.exact import Exact
from errorbook.adapters.scorers.numeric import Numeric
from errorbook.adapters.scorers.reasoning_gym import ReasoningGym, find_tagged
from errorbook.adapters.tasks.collection import Collection
from errorbook.adapters.tasks.inspect_ai import inspect_ai
from errorbook.adapters.tasks.lm_eval import lm_eval
from errorbook.adapters.tasks.reasoning_gym import reasoning_gym
from errorbook.errors import ConfigError, DataError
from errorbook.records import Example, Split

# Their imports warn about their own dependencies; what our code warns of is an error as everywhere.
pytestmark = pytest.mark.filterwarnings("ignore")

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def needs(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(name)


def everything(task: Collection) -> list[Example]:
    found: list[Example] = []
    for split in SPLITS:
        try:
            found.extend(task.examples(split, None, 0))
        except DataError:
            continue
    return found


class TestReasoningGym:
    def test_a_generator_is_a_task_whose_gold_responses_are_right(self) -> None:
        needs("reasoning_gym")
        task = reasoning_gym("chain_sum", size=60, config={"min_terms": 2, "max_terms": 3})
        found = everything(task)
        verdicts = {ReasoningGym().score(example, task.gold(example)).verdict for example in found}

        assert 50 < len(found) <= 60
        assert {example.split for example in found} == set(SPLITS)
        assert verdicts == {"right"}
        assert "chain_sum" in task.origin

    def test_questions_depend_on_the_tasks_seed_only(self) -> None:
        needs("reasoning_gym")
        first = reasoning_gym("chain_sum", size=30).examples("train", None, 1)
        again = reasoning_gym("chain_sum", size=30).examples("train", None, 2)
        other = reasoning_gym("chain_sum", size=30, seed=1000).examples("train", None, 1)

        assert {example.hash for example in first} == {example.hash for example in again}
        assert {example.question for example in first} != {example.question for example in other}

    def test_the_generator_accepts_every_answer_that_solves_the_question(self) -> None:
        needs("reasoning_gym")
        task = reasoning_gym("countdown", size=5, config={"min_numbers": 2, "max_numbers": 2})
        example = everything(task)[0]
        turned = f"<answer>({example.answer})</answer>"

        assert ReasoningGym().score(example, turned).verdict == "right"
        assert ReasoningGym().score(example, "<answer>1 + 1</answer>").verdict == "wrong"
        assert ReasoningGym().score(example, example.answer).verdict == "unscorable"

    def test_a_question_without_a_recipe_is_compared_as_text(self) -> None:
        example = Example(id="1", task="t", split="train", question="2 + 2", answer="4")

        assert ReasoningGym().score(example, "so <answer> 4 </answer>.").verdict == "right"
        assert ReasoningGym().score(example, "<answer>5</answer>").verdict == "wrong"

    def test_the_last_pair_of_tags_holds_the_answer(self) -> None:
        assert find_tagged("<answer>1</answer> no, <answer>2\n3</answer> ok") == "2\n3"
        assert find_tagged("</answer><answer>") == find_tagged("answer") == find_tagged("1</answer>") == ""

    @pytest.mark.parametrize("options", [{"dataset": "no_such"}, {"dataset": "chain_sum", "config": {"colour": 1}}])
    def test_a_wrong_generator_is_one_sentence(self, options: dict[str, object]) -> None:
        needs("reasoning_gym")
        with pytest.raises(ConfigError, match="check its name and config"):
            reasoning_gym(**options).examples("train", 1, 0)  # type: ignore[arg-type]


YAML = """
task: invented
dataset_path: json
dataset_kwargs:
  data_files:
    train: {folder}/train.jsonl
    test: {folder}/test.jsonl
training_split: train
test_split: test
output_type: {kind}
doc_to_text: "Question: {{{{q}}}}\\nAnswer:"
doc_to_target: "{target}"
{choices}
metric_list:
  - metric: {metric}
"""


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the data of a small task; nothing is downloaded."""
    needs("lm_eval")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    for split in ("train", "test"):
        rows = [{"q": f"{split} {n}?", "a": f"Because.\n#### {n}", "o": ["no", "yes"], "i": n % 2} for n in range(20)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return tmp_path


class TestHarness:
    def test_generated_answers(self, harness: Path) -> None:
        text = YAML.format(folder=harness, kind="generate_until", target="{{a}}", choices="", metric="exact_match")
        (harness / "invented.yaml").write_text(text, encoding="utf-8")
        task = lm_eval("invented", path=str(harness), after="####", scorer="numeric")
        train, test = task.examples("train", None, 0), task.examples("test", None, 0)
        seven = next(example for example in test if example.question == "Question: test 7?")

        assert {len(test), len(train) + len(task.examples("dev", None, 0))} == {20}
        assert (seven.answer, seven.solution, seven.skill) == ("7", "Because.", "invented")
        assert all(Numeric().score(example, task.gold(example)).verdict == "right" for example in test)
        assert task.origin.startswith("lm_eval ")

    def test_multiple_choice(self, harness: Path) -> None:
        choices = 'doc_to_choice: "{{o}}"'
        text = YAML.format(folder=harness, kind="multiple_choice", target="{{i}}", choices=choices, metric="acc")
        (harness / "invented.yaml").write_text(text, encoding="utf-8")
        task = lm_eval("invented", path=str(harness))
        example = task.examples("test", 1, 0)[0]

        assert example.choices == ("no", "yes")
        assert example.answer == "AB"[int(example.question.split()[-1].strip("?")) % 2]
        assert "A. no\nB. yes" in task.prompt(example.question, example.choices)

    def test_an_unknown_task_is_one_sentence(self, harness: Path) -> None:
        with pytest.raises(DataError, match="cannot load 'no_such'"):
            lm_eval("no_such", path=str(harness)).examples("test", 1, 0)


INSPECT = """
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser

@task
def capitals(n=40):
    samples = [Sample(id=i + 1, input=f"Which city is number {i}?", target=f"City {i}") for i in range(n)]
    return Task(dataset=MemoryDataset(samples))

@task
def letters():
    messages = [ChatMessageSystem(content="Be kind."), ChatMessageUser(content="Which is a vowel?")]
    return Task(dataset=MemoryDataset([Sample(input=messages, target="B", choices=["x", "e"])]))

@task
def open_ended():
    return Task(dataset=MemoryDataset([Sample(input="Write a poem.")]))
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    needs("inspect_ai")
    path = tmp_path / "invented.py"
    path.write_text(INSPECT, encoding="utf-8")
    return str(path)


class TestInspect:
    def test_samples_become_examples(self, file: str) -> None:
        task = inspect_ai(f"{file}@capitals", args={"n": 30})
        found = everything(task)

        assert sorted(int(example.id) for example in found) == list(range(1, 31))
        assert {example.split for example in found} == set(SPLITS)
        assert all(Exact().score(example, task.gold(example)).verdict == "right" for example in found)
        assert "capitals" in task.origin

    def test_messages_and_choices(self, file: str) -> None:
        [example] = everything(inspect_ai(f"{file}@letters"))

        assert example.question == "Be kind.\n\nWhich is a vowel?"
        assert (example.answer, example.choices) == ("B", ("x", "e"))

    def test_a_registered_task_is_found_by_its_name(self, file: str) -> None:
        everything(inspect_ai(f"{file}@letters"))

        assert len(everything(inspect_ai("capitals"))) == 40

    @pytest.mark.parametrize("name", ["@no_such", "nowhere/no_such"])
    def test_an_unknown_task_is_one_sentence(self, file: str, name: str) -> None:
        with pytest.raises(DataError, match="cannot be made"):
            inspect_ai(f"{file}{name}" if name[0] == "@" else name).examples("train", 1, 0)

    def test_a_sample_without_an_answer_is_refused(self, file: str) -> None:
        with pytest.raises(DataError, match=r"Sample 1 .* has no right answer"):
            inspect_ai(f"{file}@open_ended").examples("train", 1, 0)
