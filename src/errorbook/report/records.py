"""The parts of a report: frozen, typed, JSON-serialisable. `report/build` computes them, `render` shows them.

Numbers only: no rendering, no ledger, no statistics.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import Change
from errorbook.records import Comparison, Evaluation, Look, Noise, Outcome, Role, Split, Verdict
from errorbook.report.fates import Fate
from errorbook.report.supply_records import Funnel, Spending, StrategyResult
from errorbook.stats import Pairing, mcnemar_gain, paired_interval, read_twice, wilson

DraftOutcome = Literal["sample", "rejected", "waiting", "struck", "edited"]
"""What became of a draft; a person's last word on it ("struck", "edited") goes before that of the checks."""


class ReportPart(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the report's parts: immutable and JSON-serialisable."""


class Accuracy(ReportPart, frozen=True, kw_only=True):
    """One evaluation: `right` of `n` answered, of `planned` questions; `low` and `high` bound the 95% Wilson interval.

    Unscorable responses count as not right. `truncated` counts responses cut off at the token cap.
    """

    right: int
    n: int
    planned: int
    accuracy: float
    low: float
    high: float
    unscorable: int
    truncated: int


class Difference(ReportPart, frozen=True, kw_only=True):
    """Final accuracy minus base accuracy on the same questions, with Tango's 95% interval for paired shares."""

    value: float
    low: float
    high: float


class Form(ReportPart, frozen=True, kw_only=True):
    """What part of a change is that answers became readable, or unreadable, and not that they became right or wrong.

    `newly_readable` of the fixed could not be scored before, `no_longer_readable` of the broken cannot be scored after.
    `difference` is the change in points of the rest, answers that could be scored before and after, over all questions;
    `p_value` is of the one-sided exact test of a gain among them.
    """

    newly_readable: int
    no_longer_readable: int
    difference: float
    p_value: float


class TaskResult(ReportPart, frozen=True, kw_only=True):
    """One task and split, base against final; `p_value` is of the exact two-sided McNemar test, over sums of groups.

    Questions that belong together are one of `groups`; so is a question that stands alone. `form` is None if no answer
    became readable or unreadable. `otherwise` counts the base's answers that are not right and give the gold answer all
    the same, if read another way (`checks.other_reader`): mistakes of form, most likely.

    For guards `worse_p` is of the test against "worse by `margin` or more": small means shown to be not worse.
    """

    role: Role
    base: Accuracy
    final: Accuracy | None = None
    difference: Difference | None = None
    p_value: float | None = None
    fixed: int = 0
    broken: int = 0
    margin: float | None = None
    worse_p: float | None = None
    groups: int = 0
    form: Form | None = None
    otherwise: int = 0


class SkillResult(ReportPart, frozen=True, kw_only=True):
    """One skill of a learnt task on one split, base against final."""

    task: str
    split: Split
    skill: str
    base: Accuracy
    final: Accuracy | None = None
    fixed: int = 0
    broken: int = 0


class Versus(ReportPart, frozen=True, kw_only=True):
    """The same mistakes in this run and in a control: how many each fixed, paired.

    `n` of the mistakes were ones of the control's base, too. `difference` is this run's share minus the control's;
    `p_value` is of the exact two-sided McNemar test.
    """

    n: int
    fixed: int
    control_fixed: int
    difference: Difference
    p_value: float


class ErrorKind(ReportPart, frozen=True, kw_only=True):
    """The mistakes of cycle 1 that share a diagnosis, what was spent on them, and what became of them.

    `fixed` of the `n` are right when the final model is asked again; of the others `unscorable` could not be scored.
    `trained` counts the samples against this kind that any cycle trained on, `kept` those of accepted cycles. Newly
    broken questions have no diagnosis: `broken` counts, among all train questions of the mistakes' `skills`, those that
    the base got right (`right_before`) and the final model does not; a question counts for every kind with its skill.
    """

    task: str
    kind: str
    n: int
    fixed: int | None = None
    unscorable: int | None = None
    trained: int = 0
    kept: int = 0
    skills: tuple[str, ...] = ()
    right_before: int | None = None
    broken: int | None = None
    usd: float = 0.0
    control: Versus | None = None


class Control(ReportPart, frozen=True, kw_only=True):
    """The run that the mistakes are compared with; `whole` takes all diagnosed mistakes together."""

    run: str
    name: str
    strategy: str
    final_is_base: bool
    whole: Versus | None


class Point(ReportPart, frozen=True, kw_only=True):
    """One checkpoint's accuracy on one task and split; `cycle` is the one that trained it, 0 for the base.

    `kept` means that it is the base or was accepted. The difference is to the base, on the same questions; `p_value` is
    of the exact two-sided test of it.
    """

    cycle: int
    checkpoint: str
    scale: float
    kept: bool
    accuracy: Accuracy
    difference: Difference | None = None
    fixed: int = 0
    broken: int = 0
    p_value: float | None = None
    form: Form | None = None


class Line(ReportPart, frozen=True, kw_only=True):
    """Every checkpoint that answered one task and split completely, the base first."""

    task: str
    role: Role
    split: Split
    points: tuple[Point, ...]


class Band(ReportPart, frozen=True, kw_only=True):
    """The questions of one fate; `unscorable` of them could not be scored at the end."""

    fate: Fate
    n: int
    unscorable: int


class FateCounts(ReportPart, frozen=True, kw_only=True):
    """What became of the questions of one task and split; the bands add up to `n`.

    `checkpoints` of the kept ones answered all of them: the train questions are asked in every cycle, those of dev once
    a candidate is judged, those of test only at the beginning and the end.
    """

    task: str
    role: Role
    split: Split
    n: int
    checkpoints: int
    bands: tuple[Band, ...]


class Relearnt(ReportPart, frozen=True, kw_only=True):
    """The train questions of one task asked again of the final model; `broken` were right before and are not now."""

    task: str
    n: int
    right_before: int
    right_after: int
    fixed: tuple[str, ...]
    broken: tuple[str, ...]


class CycleResult(ReportPart, frozen=True, kw_only=True):
    """What the gate said about one cycle, and the dev comparisons that it judged; see `Decision`.

    `looks` is left out unless the gate was sequential.
    """

    cycle: int
    decision: Outcome
    reason: str
    scale: float | None
    comparisons: tuple[Comparison, ...]
    against_base: tuple[Comparison, ...] = ()
    form: bool = False
    looks: tuple[Look, ...] | msgspec.UnsetType = msgspec.UNSET


class TrainingResult(ReportPart, frozen=True, kw_only=True):
    """One training: counts, and the mean completion-token loss of each step in nats."""

    cycle: int
    lessons: int
    replayed: int
    steps: int
    tokens: int
    too_long: int
    trainable_parameters: int
    losses: tuple[float, ...]


class Report(ReportPart, frozen=True, kw_only=True):
    """Everything that a report shows.

    `seconds` sums the stages that ended; `detectable` is the gate's reach on dev, None if it has none.
    `noise` says for each learnt task how many verdicts changed when the base was asked twice. `strata` says how many
    mistakes there are of each kind and fate, and how many of them are among the `cases`. `corrections` counts what
    people changed, by kind: all other numbers are of what the target answered and the scorer said. `changes` are those
    of the run file since the run was begun. `shared` counts the dev questions, or groups of them, that a learnt task
    has in common with another. `left_out` has a sentence on each task's examples that no answer can be right for.
    `directed` says whether the instructor is shown mistakes, `strategies` what each strategy came to.
    """

    run: str
    name: str
    version: str
    model: str
    instructor: str
    strategy: str
    directed: bool
    planned_cycles: int
    finished: bool
    final_is_base: bool
    seconds: float
    stage_seconds: dict[str, float]
    spending: Spending
    alpha: float
    alpha_each: float
    detectable: float | None
    cycles: tuple[CycleResult, ...]
    tasks: dict[str, dict[str, TaskResult]]
    skills: tuple[SkillResult, ...]
    error_kinds: tuple[ErrorKind, ...]
    relearnt: tuple[Relearnt, ...]
    funnel: Funnel
    trainings: tuple[TrainingResult, ...]
    cases: tuple[Case, ...]
    noise: tuple[Noise, ...] = ()
    by_cycle: tuple[Line, ...] = ()
    strategies: tuple[StrategyResult, ...] = ()
    fates: tuple[FateCounts, ...] = ()
    strata: tuple[Stratum, ...] = ()
    corrections: dict[str, int] = {}
    changes: tuple[Change, ...] = ()
    shared: int = 0
    left_out: tuple[str, ...] = ()
    control: Control | None = None


class CaseDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A draft written against the mistake, and what verification said; `reason` is a rejection's."""

    question: str
    solution: str
    answer: str
    outcome: Literal["sample", "rejected", "waiting"]
    reason: str = ""


class CaseResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint answered, and how it was scored; `thought` is what it thought before, if it thinks."""

    text: str
    extracted: str
    verdict: Verdict
    truncated: bool
    thought: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake of the base model with all that followed from it; `kind` is empty if nothing was diagnosed.

    `drafts` are the first of the `written` ones.
    """

    task: str
    example: str
    skill: str
    question: str
    answer: str
    fate: Fate
    before: CaseResponse
    after: CaseResponse | None
    kind: str = ""
    misconception: str = ""
    first_wrong_step: str = ""
    border: str = ""
    drafts: tuple[CaseDraft, ...] = ()
    written: int = 0


class Stratum(msgspec.Struct, frozen=True, kw_only=True):
    """Mistakes of one kind and fate: how many there are, and how many of them the report shows in full."""

    task: str
    kind: str
    fate: Fate
    shown: int
    n: int


def accuracy_of(ledger: Ledger, evaluation: Evaluation) -> Accuracy:
    """The accuracy of what an evaluation answered so far."""
    tally = ledger.tally(evaluation)
    return share_of(tally.right, tally.n, evaluation.n, tally.unscorable, tally.truncated)


def share_of(right: int, n: int, planned: int, unscorable: int, truncated: int) -> Accuracy:
    """Counts as an accuracy with Wilson's interval."""
    low, high = wilson(right, n)
    return Accuracy(
        right=right,
        n=n,
        planned=planned,
        accuracy=right / n if n else 0.0,
        low=low,
        high=high,
        unscorable=unscorable,
        truncated=truncated,
    )


def difference_of(pairing: Pairing) -> Difference:
    """The difference in accuracy of two paired evaluations."""
    low, high = paired_interval(pairing.fixed, pairing.broken, pairing.n, clusters=pairing.clusters)
    return Difference(value=(pairing.right_after - pairing.right_before) / max(pairing.n, 1), low=low, high=high)


def form_of(pairing: Pairing) -> Form | None:
    """What part of a change is one of form; None if there is none."""
    newly, gone = pairing.newly_readable, pairing.no_longer_readable
    if not (newly or gone):
        return None
    fixed, broken = pairing.fixed - newly, pairing.broken - gone
    return Form(
        newly_readable=newly,
        no_longer_readable=gone,
        difference=(fixed - broken) / pairing.n,
        p_value=mcnemar_gain(fixed, broken, read_twice(pairing.clusters)),
    )
