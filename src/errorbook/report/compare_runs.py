"""Two checkpoints compared, of one run or of two: paired on the questions that both answered, regressions first.

A *side* is a run and one of its checkpoints. Within a run the evaluations must be alike in all but the checkpoint, as
they must for the gate. Two runs may have different models, or have put a question in other words: that is said, for the
difference is then not the training's alone. It decides nothing; the gate has its own rule, fixed before a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import msgspec
from msgspec.structs import replace

from errorbook.errors import DataError, LedgerError, StageError
from errorbook.judge import require_comparable
from errorbook.ledger import keys
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.ledger.pairs import Pairs, pair_evaluations
from errorbook.ledger.run_view import Checkpoints, read_config
from errorbook.records import Checkpoint, Decision, Evaluation, Example, Groups, Noise, Role, Split, Verdict
from errorbook.report.records import Difference, Form, difference_of, form_of
from errorbook.stats import CHANGES, Change, cluster, holm, mcnemar

Shown = Literal["regressions", "gains", "all"]
SHOWN: dict[Shown, tuple[Change, ...]] = {"regressions": ("broken",), "gains": ("fixed",), "all": CHANGES}
"""Which items are listed."""
SPLITS: tuple[Split, ...] = get_args(Split)
_FEWEST = 6
_LOOKED_AT = 200
_MOST_SEARCHED = 10_000  # questions whose groups are found while somebody waits: seconds
_NOTHING = "The two sides finished no task's split in common; compare checkpoints that answered the same questions."


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One checkpoint of one run; `name` is `base`, `final` or the first digits of its hash."""

    run: str
    folder: str
    name: str
    checkpoint: str
    model: str

    @property
    def path(self) -> Path:
        """The run's ledger."""
        return Path(self.folder) / "ledger.sqlite"

    @property
    def label(self) -> str:
        """The run and the checkpoint, as the command line takes them."""
        return f"{self.run}:{self.name}"


class CheckpointChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint that a run has; a candidate has its scale, and its decision if one was made."""

    name: str
    checkpoint: str
    is_base: bool = False
    scale: float = 1.0
    decision: Decision | None = None


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """One task and split, paired; the difference in accuracy is B - A.

    `p_value` is of the exact two-sided McNemar test, over sums of groups if questions belong together (`groups` counts
    them, and questions that stand alone), `p_holm` the same with Holm's correction for all the tests shown. `form` is
    None if no answer became readable or unreadable.
    `before` and `after` are the evaluations' hashes. An unscorable answer counts as not right, on both sides. `noise`
    is the floor that A's run measured on the split. `other_target`: the two have different base weights, chat templates
    or engines. Of the first `looked_at` questions, `reworded` were put in other words to B.
    """

    task: str
    split: Split
    before: str
    after: str
    role: Role = "learn"
    n: int
    right_before: int
    right_after: int
    fixed: int
    broken: int
    difference: Difference
    p_value: float
    p_holm: float
    groups: int
    form: Form | None = None
    unscorable_before: int
    unscorable_after: int
    truncated_before: int
    truncated_after: int
    changes: dict[Change, int]
    noise: Noise | None = None
    other_target: bool = False
    reworded: int = 0
    looked_at: int = 0


class ComparedQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """One question with both verdicts and what was read as the answer."""

    task: str
    split: Split
    example: str
    change: Change
    before: Verdict
    after: Verdict
    question: str
    extracted_before: str
    extracted_after: str


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Two sides on every task and split that both answered; `unlike` says what could not be paired and why."""

    a: Side
    b: Side
    tasks: tuple[Paired, ...]
    unlike: tuple[str, ...] = ()


# Which checkpoint --------------------------------------------------------------------------------------------------


def list_choices(ledger: Ledger) -> list[CheckpointChoice]:
    """The checkpoints of a run that answered something: base, final, and every candidate, in their order."""
    points = Checkpoints(ledger)
    answered = {item.checkpoint for item in ledger.all(Evaluation)}
    found = [CheckpointChoice(name="base", checkpoint=points.base, is_base=True)] if points.base else []
    if points.decisions:
        found.append(CheckpointChoice(name="final", checkpoint=points.final, is_base=points.final_is_base))
    chosen = {decision.candidate: decision for decision in points.decisions}
    for candidate in ledger.all(Checkpoint):
        if candidate.parent and candidate.hash in answered:
            hash, decision = candidate.hash, chosen.get(candidate.hash)
            found.append(CheckpointChoice(name=hash[:8], checkpoint=hash, scale=candidate.scale, decision=decision))
    return found


def find_side(ledger: Ledger, name: str = "final", run: str = "") -> Side:
    """A run's checkpoint by its name; `run` is what the run is called, its folder if not given.

    Raises:
        LedgerError: The run has no such checkpoint.
    """
    config, known = read_config(ledger), list_choices(ledger)
    wanted = "base" if name == "final" and not any(item.name == "final" for item in known) else name
    found = {item.checkpoint for item in known if item.name == wanted}
    if not found and len(name) >= _FEWEST:
        found = {item.checkpoint for item in known if item.checkpoint.startswith(name)}
    if len(found) != 1:
        listed = ", ".join(dict.fromkeys(item.name for item in known))
        raise LedgerError(f"The run '{ledger.root}' has no checkpoint '{name}'; it has {listed or 'none yet'}.")
    return Side(
        run=run or str(ledger.root),
        folder=str(ledger.root),
        name=wanted,
        checkpoint=found.pop(),
        model=config.target.model,
    )


def parse_side(text: str) -> Side:
    """A side as the command line gives it: `RUN` (its final model) or `RUN:CHECKPOINT`.

    Raises:
        LedgerError: There is no such run or checkpoint.
    """
    folder, _, checkpoint = text.rpartition(":")
    if not folder or Path(text).exists():
        folder, checkpoint = text, "final"
    with open_ledger(Path(folder)) as ledger:
        return find_side(ledger, checkpoint or "final", folder)


# The comparison ----------------------------------------------------------------------------------------------------


def compare(a: Side, b: Side, task: str = "", split: str = "") -> Compared:
    """Pair everything that both sides answered, or one task or split of it.

    Raises:
        DataError: They have nothing in common that can be compared.
    """
    rows: list[Paired] = []
    unlike: list[str] = []
    with open_ledger(a.path) as first, open_ledger(b.path) as second:
        roles = {section.name: section.role for section in read_config(first).tasks}
        noise = {(item.task, item.split): item for item in first.all(Noise)}
        for before, after in _ends((first, a), (second, b), task, split):
            try:
                _require_alike(a, b, before, after)
            except StageError as error:
                unlike.append(str(error))
                continue
            key = before.task, before.split
            row = _paired(a, b, (before, after), _find_together((first, second), before))
            rows.append(replace(row, role=roles[before.task], noise=noise.get(key)))
        if not rows and task:
            _require_known(task, first, second)
    if not rows:
        raise DataError(unlike[0] if unlike else _NOTHING)
    return Compared(a=a, b=b, tasks=_with_holm(rows), unlike=tuple(unlike))


def _require_known(task: str, *ledgers: Ledger) -> None:
    for ledger in ledgers:
        known = [section.name for section in read_config(ledger).tasks]
        if task not in known:
            raise DataError(f"The run '{ledger.root}' has no task '{task}'; it has {', '.join(known)}.")


def _find_together(ledgers: tuple[Ledger, Ledger], before: Evaluation) -> Sequence[Sequence[str]]:
    """The groups of a split as a run recorded them; a book of logs has none, so they are found, if it is not large."""
    for ledger in ledgers:
        known = ledger.find(Groups, keys.groups(before.task, before.split))
        if known is not None:
            return known.together
    if before.n > _MOST_SEARCHED:
        return ()
    from errorbook.checks.groups import find_groups

    asked = (before.task, before.split)
    return find_groups([item for item in ledgers[0].all(Example) if (item.task, item.split) == asked])


@contextmanager
def open_pairs(a: Side, b: Side, row: Paired) -> Iterator[Pairs]:
    """One task and split of a comparison, open for reading item by item.

    Raises:
        LedgerError: A ledger changed since, or cannot be read.
    """
    with open_ledger(a.path) as first, open_ledger(b.path) as second:
        before, after = first.get(Evaluation, row.before), second.get(Evaluation, row.after)
    if before is None or after is None:
        raise LedgerError("One of the two runs was begun anew meanwhile; compare them again.")
    with pair_evaluations((a.path, before), (b.path, after)) as pairs:
        yield pairs


def list_items(a: Side, b: Side, row: Paired, shown: Shown, size: int) -> list[ComparedQuestion]:
    """The first items of one task and split, regressions first."""
    with open_pairs(a, b, row) as pairs:
        found = pairs.page(SHOWN[shown], None, size)
    return [
        ComparedQuestion(
            task=row.task,
            split=row.split,
            example=pair.place.example,
            change=pair.place.change,
            before=pair.before,
            after=pair.after,
            question=pair.question,
            extracted_before=pair.extracted_before,
            extracted_after=pair.extracted_after,
        )
        for pair in found
    ]


def _ends(
    first: tuple[Ledger, Side], second: tuple[Ledger, Side], task: str, split: str
) -> Iterator[tuple[Evaluation, Evaluation]]:
    """The evaluations that both sides finished, in the order of A's run file."""
    points, others = Checkpoints(first[0]), Checkpoints(second[0])
    for name in [section.name for section in read_config(first[0]).tasks]:
        for part in SPLITS:
            if task in {"", name} and split in {"", part}:
                before = points.complete(first[1].checkpoint, name, part)
                after = others.complete(second[1].checkpoint, name, part)
                if before is not None and after is not None and before.n:
                    yield before, after


def _require_alike(a: Side, b: Side, before: Evaluation, after: Evaluation) -> None:
    """What the gate asks for; only two runs may have different models."""
    require_comparable(before, after if a.folder == b.folder else replace(after, target=before.target))


def _paired(a: Side, b: Side, ends: tuple[Evaluation, Evaluation], together: Sequence[Sequence[str]]) -> Paired:
    before, after = ends
    with pair_evaluations((a.path, before), (b.path, after)) as pairs:
        totals = pairs.totals()
        clusters = cluster(together, *pairs.verdicts()) if together else ()
        reworded, looked_at = pairs.other_prompts(_LOOKED_AT) if a.folder != b.folder else (0, 0)
    pairing = totals.pairing._replace(clusters=clusters)
    p_value = mcnemar(pairing.fixed, pairing.broken, clusters)
    return Paired(
        task=before.task,
        split=before.split,
        before=before.hash,
        after=after.hash,
        n=pairing.n,
        right_before=pairing.right_before,
        right_after=pairing.right_after,
        fixed=pairing.fixed,
        broken=pairing.broken,
        difference=difference_of(pairing),
        p_value=p_value,
        p_holm=p_value,
        groups=pairing.groups,
        form=form_of(pairing),
        unscorable_before=pairing.unscorable_before,
        unscorable_after=pairing.unscorable_after,
        truncated_before=totals.truncated_before,
        truncated_after=totals.truncated_after,
        changes=pairing.changes,
        other_target=before.target != after.target,
        reworded=reworded,
        looked_at=looked_at,
    )


def _with_holm(rows: Sequence[Paired]) -> tuple[Paired, ...]:
    adjusted = holm([row.p_value for row in rows])
    return tuple(replace(row, p_holm=p_value) for row, p_value in zip(rows, adjusted, strict=True))
