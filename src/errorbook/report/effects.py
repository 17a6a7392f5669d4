"""What became of each kind of mistake, what was spent on it, and what a control made of the same mistakes.

The mistakes are those of cycle 1, by the instructor's diagnosis. That a kind was trained on and its mistakes went away
is an association: other samples teach the same skills. Only a control, the same base on the same train questions
with other samples, tells what the samples against this kind added. It reads ledgers, and never a dev or test split.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat

from msgspec.structs import replace

from errorbook.config import Config
from errorbook.corrections.inbox import list_left_out
from errorbook.errors import LedgerError
from errorbook.ledger import keys
from errorbook.ledger.counts import VERDICT, Diagnosed, Letters, read_sample_origins, read_skills
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import Checkpoints, read_config
from errorbook.records import Checkpoint, Draft, Evaluation, Training, Verdict
from errorbook.report.records import Control, ErrorKind, Versus, difference_of
from errorbook.report.supply_records import KindCost
from errorbook.stats import mcnemar, pair

Kind = tuple[str, str]
"""Task and kind of error."""
Mistakes = Mapping[Kind, list[str]]
"""Example ids of the diagnosed mistakes of cycle 1."""


def count_error_kinds(
    ledger: Ledger, points: Checkpoints, letters: Letters, diagnoses: Iterable[Diagnosed], costs: Iterable[KindCost]
) -> tuple[Mistakes, tuple[ErrorKind, ...]]:
    """The mistakes by kind, and all that the run itself says about each kind, the most frequent first."""
    kinds: dict[str, Kind] = {}
    mistakes: defaultdict[Kind, list[str]] = defaultdict(list)
    for hash, diagnosis, cycle in diagnoses:
        kind = kinds[hash] = (diagnosis.task, diagnosis.error_kind)
        if cycle == 1:
            mistakes[kind].append(diagnosis.example)
    dollars = {(item.task, item.kind): item.usd for item in costs}
    trained, kept = _spent(ledger, points, kinds)
    found: list[ErrorKind] = []
    for task in sorted({task for task, _ in mistakes}):
        books = _Train(ledger, points, letters, task)
        for kind, examples in mistakes.items():
            if kind[0] == task:
                one = replace(books.effect(kind[1], examples), trained=trained[kind], kept=kept[kind])
                found.append(replace(one, usd=dollars.get(kind, 0.0)))
    return mistakes, tuple(sorted(found, key=lambda item: (-item.n, item.task, item.kind)))


class _Train:
    """What the base and the final model answered to one task's train questions."""

    def __init__(self, ledger: Ledger, points: Checkpoints, letters: Letters, task: str) -> None:
        self.task = task
        base = points.complete(points.base, task, "train")
        final = points.complete(points.final, task, "train") if points.decisions else None
        self.skills = read_skills(ledger, task, "train") if base else {}
        self.after = letters.verdicts(final) if final else {}
        self.pairs: defaultdict[str, Counter[tuple[Verdict, Verdict]]] = defaultdict(Counter)
        if base and final:
            named = map(self.skills.get, letters.examples(base), repeat(""))
            for (skill, was, now), n in Counter(zip(named, letters.of(base), letters.of(final), strict=True)).items():
                self.pairs[skill or ""][VERDICT[was], VERDICT[now]] = n

    def effect(self, kind: str, examples: list[str]) -> ErrorKind:
        """What became of these mistakes, and of the other questions of their skills."""
        named = {self.skills.get(example, "") for example in examples} - {""}
        one = ErrorKind(task=self.task, kind=kind, n=len(examples), skills=tuple(sorted(named)))
        if not self.after:
            return one
        now = Counter(self.after[example] for example in examples if example in self.after)
        one = replace(one, fixed=now["right"], unscorable=now["unscorable"])
        if not named:
            return one
        pairing = pair(sum((self.pairs[skill] for skill in named), Counter()))
        return replace(one, right_before=pairing.right_before, broken=pairing.broken)


def _spent(ledger: Ledger, points: Checkpoints, kinds: Mapping[str, Kind]) -> tuple[Counter[Kind], Counter[Kind]]:
    """How many samples against each kind were trained on, and how many of these in accepted cycles."""
    trained: Counter[Kind] = Counter()
    kept: Counter[Kind] = Counter()
    done = {cycle for cycle in range(1, len(points.decisions) + 2) if ledger.find(Training, keys.training(cycle))}
    accepted = {decision.cycle for decision in points.decisions if decision.outcome == "accept"}
    used = Counter(origin for origin in read_sample_origins(ledger) if origin[0] in done)
    left_out = ((cycle, ledger.get(Draft, hash)) for cycle in done for hash in list_left_out(ledger, cycle))
    used.subtract((cycle, draft.diagnosis) for cycle, draft in left_out if draft is not None)
    for (cycle, diagnosis), n in used.items():
        if diagnosis in kinds:
            trained[kinds[diagnosis]] += n
            kept[kinds[diagnosis]] += n * (cycle in accepted)
    return trained, kept


# The control -------------------------------------------------------------------------------------------------------


def compare_with_control(
    ledger: Ledger, control: Ledger, mistakes: Mistakes, found: tuple[ErrorKind, ...]
) -> tuple[Control, tuple[ErrorKind, ...]]:
    """The same mistakes in another run, all together and by kind, question by question.

    Raises:
        LedgerError: The control's base or its train questions are not this run's, or it has not answered them again.
    """
    config, points, others = read_config(control), Checkpoints(ledger), Checkpoints(control)
    _require_same_base(ledger, control)
    sides = {task: _Sides(ledger, points, control, others, task) for task in sorted({task for task, _ in mistakes})}
    shown = tuple(
        replace(item, control=_versus(sides[item.task].pairs(mistakes[item.task, item.kind]))) for item in found
    )
    every = (pair for (task, _), examples in mistakes.items() for pair in sides[task].pairs(examples))
    return _described(control, config, others, _versus(every)), shown


class _Sides:
    """One task's train questions: what this run's and the control's final model, and the control's base, answered."""

    def __init__(self, ledger: Ledger, points: Checkpoints, control: Ledger, others: Checkpoints, task: str) -> None:
        asked_there = _require_same_questions(points, others, control, task)
        final = points.complete(points.final, task, "train") if points.decisions else None
        self.here = Letters(ledger).verdicts(final) if final else {}
        self.before, self.there = (Letters(control).verdicts(asked) for asked in asked_there)

    def pairs(self, examples: Iterable[str]) -> Iterator[tuple[Verdict, Verdict]]:
        """What the control and this run answered, for each mistake that the control's base made as well."""
        if self.here:
            for example in examples:
                if self.before[example] != "right":
                    yield self.there[example], self.here[example]


def _versus(pairs: Iterable[tuple[Verdict, Verdict]]) -> Versus | None:
    """The paired counts; None if there is nothing to compare."""
    pairing = pair(Counter(pairs))
    if not pairing.n:
        return None
    return Versus(
        n=pairing.n,
        fixed=pairing.right_after,
        control_fixed=pairing.right_before,
        difference=difference_of(pairing),
        p_value=mcnemar(pairing.fixed, pairing.broken),
    )


def _described(control: Ledger, config: Config, others: Checkpoints, whole: Versus | None) -> Control:
    return Control(
        run=str(control.root),
        name=config.run.name,
        strategy=config.strategy.describe(config.run.cycles),
        final_is_base=others.final_is_base,
        whole=whole,
    )


def _require_same_base(ledger: Ledger, control: Ledger) -> None:
    mine, other = ledger.find(Checkpoint, keys.BASE), control.find(Checkpoint, keys.BASE)
    if mine is None or other is None or mine.base_fingerprint != other.base_fingerprint:
        raise LedgerError(
            f"The control '{control.root}' began with other weights than '{ledger.root}'; name a run of the same base."
        )


def _require_same_questions(
    points: Checkpoints, others: Checkpoints, control: Ledger, task: str
) -> tuple[Evaluation, Evaluation]:
    """The control's base and final evaluation; both bases were asked the same train questions in one way."""
    mine, other = (side.complete(side.base, task, "train") for side in (points, others))
    if mine is None or other is None or _asked(mine) != _asked(other):
        raise LedgerError(
            f"The control '{control.root}' did not ask its base the same train questions of '{task}' in the same way;"
            " name a run with the same [[tasks]], seed and [target] settings."
        )
    final = others.complete(others.final, task, "train") if others.decisions else None
    if final is None:
        raise LedgerError(
            f"The control '{control.root}' has not asked its final model the train questions of '{task}' yet;"
            " 'errorbook run' on its run file goes on with it."
        )
    return other, final


def _asked(evaluation: Evaluation) -> tuple[object, ...]:
    return evaluation.examples, evaluation.n, evaluation.generation, evaluation.scorer
