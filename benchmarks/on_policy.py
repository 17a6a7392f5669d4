"""Compares learning from solutions with learning from oneself: the same questions, seeds and number of steps.

    python -m benchmarks.on_policy --out runs/on-policy [--seeds 1 2 3] [--questions 80] [--arms sft own unrelated]

The embedded model answers train questions of `arithmetic`; the tutor diagnoses its mistakes. Each arm starts from the
base and learns from those mistakes, without rehearsal:

    sft         imitates the gold solutions
    own         self-distillation; the teacher is shown the question's own solution and diagnosis
    unrelated   the same with the solution and diagnosis of another question: the control

Measured are the share of right answers on test and, for what was forgotten, on the test questions of `retention`. A
question's answers by two arms of one seed are a pair; differences have the interval of the paired score test over all
seeds. What is finished lies below --out and is not done again. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from errorbook import plugins
from errorbook.diagnose import diagnose, find_mistakes
from errorbook.evaluate import evaluate, identify
from errorbook.records import Checkpoint, Diagnosis, Example, Generation, Lesson, Marked, Response, Verdict
from errorbook.stats import paired_interval
from errorbook.train import Context, TrainSection, list_known, make_own_lessons, show_teacher

T = TypeVar("T", bound=msgspec.Struct)

MODEL = "smollm2-135m-instruct"
TASKS = {"arithmetic": 156, "retention": 64}
"""What is examined, and how many test questions of it."""
ARMS = ("sft", "own", "unrelated")
RECIPE = TrainSection(learning_rate=1e-3, epochs=1.0, batch_size=8, replay=0.0)


class Teacher(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the first seed's mistakes the base answers right as its own teacher, by what it is shown."""

    asked: int
    right: dict[Context, int]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One arm with one seed; "base" is the model before. `verdicts` are those on test, by task and question."""

    arm: str
    seed: int
    lessons: int = 0
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: tuple[float, ...] = ()
    verdicts: dict[str, dict[str, Verdict]]

    def share(self, task: str) -> float:
        """The share of right answers."""
        given = self.verdicts[task].values()
        return sum(verdict == "right" for verdict in given) / len(given)


class Bench:
    """The parts that all arms share; the model is the target's and is loaded again for each checkpoint."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.out: Path = options.out
        self.target = plugins.create("targets", "transformers", {"model": MODEL})
        self.trainer = plugins.create("trainers", "lora", {"model": MODEL})
        self.tasks: dict[str, Any] = {name: plugins.create("tasks", name) for name in TASKS}
        self.base = Checkpoint(base=MODEL, base_fingerprint=self.target.fingerprint)

    def answers(self, name: str, examples: Sequence[Example], checkpoint: Checkpoint) -> list[Response]:
        """The checkpoint's scored responses to the examples of one split."""
        task = self.tasks[name]
        self.target.use(checkpoint, self.out)
        evaluation = identify(self.target, checkpoint.hash, task, examples[0].split, examples)
        scorer = plugins.create("scorers", task.scorer)
        found = [one for part in evaluate(self.target, task, scorer, evaluation, examples) for one in part]
        self.target.close()
        return found

    def verdicts(self, checkpoint: Checkpoint) -> dict[str, dict[str, Verdict]]:
        """What the checkpoint gets right on test, by task."""
        return {
            name: {
                one.example: one.score.verdict for one in self.answers(name, task.examples("test", n, 1), checkpoint)
            }
            for (name, n), task in zip(TASKS.items(), self.tasks.values(), strict=True)
        }


def main() -> None:
    """Run what is not finished yet, then print the table."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    base = _keep(
        options.out / "base.json", lambda: Result(arm="base", seed=0, verdicts=bench.verdicts(bench.base)), Result
    )
    teacher = _keep(options.out / "teacher.json", partial(_examine_teacher, bench), Teacher)
    results = []
    for seed in options.seeds:
        for arm in options.arms:
            path = options.out / f"{arm}-{seed}.json"
            results.append(_keep(path, partial(_train, bench, arm, seed), Result))
            print(_line(results[-1]), file=sys.stderr, flush=True)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    shown = ", ".join(f"{count} right with {context}" for context, count in teacher.right.items())
    print(f"{_table(base, results)}\n\nThe teacher, asked {teacher.asked} mistakes: {shown}.\n\nMachine: {machine}.")


def _train(bench: Bench, arm: str, seed: int) -> Result:
    section = replace(
        RECIPE,
        objective="sft" if arm == "sft" else "self_distill",
        divergence=bench.options.divergence,
        context="unrelated" if arm == "unrelated" else "own",
        epochs=bench.options.epochs,
    )
    lessons = _lessons(bench, seed, section)
    started = time.perf_counter()
    training = bench.trainer.train(bench.base, lessons, section.recipe(seed), bench.out, lambda done, total: None)
    seconds = time.perf_counter() - started
    after = replace(
        bench.base,
        parent=bench.base.hash,
        method="lora",
        form="adapter",
        folder=training.folder,
        weights_hash=training.weights_hash,
    )
    return Result(
        arm=arm,
        seed=seed,
        lessons=training.lessons,
        steps=training.steps,
        tokens=training.tokens,
        seconds=round(seconds, 1),
        losses=training.losses,
        verdicts=bench.verdicts(after),
    )


def _lessons(bench: Bench, seed: int, section: TrainSection) -> list[Lesson]:
    """The mistakes on this seed's train questions, each with its gold solution, and what the teacher is shown."""
    task = bench.tasks["arithmetic"]
    examples = task.examples("train", bench.options.questions, seed)
    path = bench.out / f"train-{seed}.json"
    if not path.exists():
        path.write_bytes(msgspec.json.encode(bench.answers("arithmetic", examples, bench.base)))
    answers = {one.example: one for one in msgspec.json.decode(path.read_bytes(), type=list[Response])}
    book = {key: Marked(response=response, verdict=response.score.verdict) for key, response in answers.items()}
    pairs = [(example, book[example.id]) for example in examples]
    lessons = make_own_lessons(pairs, bench.tasks)
    if section.objective == "sft":
        return lessons
    tutor = plugins.create("instructors", "tutor", {"seed": seed})
    found = [result for _, result, _ in diagnose(tutor, find_mistakes(examples, book, "error"))]
    diagnoses = [result for result in found if isinstance(result, Diagnosis)]
    return show_teacher(lessons, list_known([], pairs, bench.tasks, [], diagnoses), section.context, seed)


def _examine_base(bench: Bench) -> Result:
    return Result(arm="base", seed=0, verdicts=bench.verdicts(bench.base))


def _examine_teacher(bench: Bench) -> Teacher:
    """Have the base answer what a teacher reads."""
    task, seed = bench.tasks["arithmetic"], bench.options.seeds[0]
    by_prompt = {task.prompt(one.question): one for one in task.examples("train", bench.options.questions, seed)}
    scorer = plugins.create("scorers", task.scorer)
    right: dict[Context, int] = {}
    for context in ("own", "unrelated"):
        lessons = _lessons(bench, seed, replace(RECIPE, objective="self_distill", context=context))
        bench.target.use(bench.base, bench.out)
        asked = [lesson.context for lesson in lessons]
        answers = bench.target.generate(asked, Generation(max_new_tokens=task.max_new_tokens))
        scores = [scorer.score(by_prompt[lessons[one.index].prompt], one.text) for one in answers]
        right[context] = sum(score.verdict == "right" for score in scores)
    bench.target.close()
    return Teacher(asked=len(lessons), right=right)


def _keep(path: Path, make: Callable[[], T], kind: type[T]) -> T:
    """What is in this file; made and written if it is not there."""
    if not path.exists():
        path.write_bytes(msgspec.json.encode(make()))
    return msgspec.json.decode(path.read_bytes(), type=kind)


def _table(base: Result, results: Sequence[Result]) -> str:
    lines = [f"| arm | {' | '.join(f'{name} test' for name in TASKS)} | lessons | steps | tokens read | seconds |"]
    lines.append("|" + "---|" * (len(TASKS) + 5))
    lines.append(f"| (base) | {' | '.join(f'{base.share(name):.1%}' for name in TASKS)} | | | | |")
    arms = list(dict.fromkeys(result.arm for result in results))
    for arm in arms:
        own = [result for result in results if result.arm == arm]
        cells = [_spread([result.share(name) for result in own]) for name in TASKS]
        means = [f"{statistics.mean(getattr(one, key) for one in own):.0f}" for key in Result.__struct_fields__[2:6]]
        lines.append(f"| {arm} | {' | '.join([*cells, *means])} |")
    lines.append("")
    for one, other in [*((arm, "base") for arm in arms), *zip(arms[1:], arms, strict=False), ("unrelated", "sft")]:
        lines += [
            f"- {_compare(name, one, other, base, results)}" for name in TASKS if {one, other} - {"base"} <= {*arms}
        ]
    return "\n".join(lines)


def _compare(task: str, one: str, other: str, base: Result, results: Sequence[Result]) -> str:
    """The paired difference over all seeds, with its interval."""
    by_arm = {(result.arm, result.seed): result for result in results}
    pairs = [
        (verdict == "right", against.verdicts[task][key] == "right")
        for (arm, seed), result in by_arm.items()
        if arm == one
        for against in [base if other == "base" else by_arm[other, seed]]
        for key, verdict in result.verdicts[task].items()
    ]
    better, worse = pairs.count((True, False)), pairs.count((False, True))
    low, high = paired_interval(better, worse, len(pairs))
    change = 100 * (better - worse) / len(pairs)
    return (
        f"{task}, {one} against {other}: {change:+.1f} points (95% interval {100 * low:+.1f} to {100 * high:+.1f}, "
        f"{better} better and {worse} worse of {len(pairs)})"
    )


def _spread(shares: Sequence[float]) -> str:
    return f"{100 * statistics.mean(shares):.1f}% ({', '.join(f'{100 * share:.1f}' for share in shares)})"


def _line(result: Result) -> str:
    shares = ", ".join(f"{name} {result.share(name):.1%}" for name in TASKS)
    first, last = (statistics.mean(part) for part in (result.losses[:4], result.losses[-4:]))
    return (
        f"{result.arm}, seed {result.seed}: {shares}; {result.steps} steps in {result.seconds} s, "
        f"loss {first:.3f} -> {last:.3f}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--questions", type=int, default=80, help="train questions that are asked")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--divergence", default=RECIPE.divergence)
    parser.add_argument("--epochs", type=float, default=RECIPE.epochs)
    return parser.parse_args()


if __name__ == "__main__":
    main()
