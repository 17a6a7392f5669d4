"""The outcome of a run in plain words, and numbers as people read them: one wording for every renderer.

Calm on purpose: a run without a gain is a result, not a fault. It computes nothing but roundings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from errorbook.records import Noise, Role
from errorbook.render.task_words import task_words
from errorbook.report.fates import Fate
from errorbook.report.records import (
    Accuracy,
    Difference,
    Form,
    Point,
    Relearnt,
    Report,
    TaskResult,
    Versus,
)
from errorbook.report.supply_records import KindCost, StrategyResult

FATE_MEANING: dict[Fate, str] = {
    "fixed": "not right at first, right at the end",
    "relapsed": "not right at first, right for a while, not right at the end",
    "stubborn": "never right",
    "broken": "right at first, not right at the end",
    "still_right": "right at first and at the end",
    "waiting": "answered by one checkpoint so far: nothing to compare it with yet",
}


class Headline(NamedTuple):
    """The outcome in a few words, and the sentences that follow."""

    title: str
    text: str


PAIRED = "the exact two-sided McNemar test, over sums of groups if questions belong together"
"""The test that a p-value is of, wherever two sets of answers to the same questions are compared."""


def count(n: int, noun: str) -> str:
    """A number with its noun, plural by adding s."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def words(kind: str) -> str:
    """An error kind or reason as words: dropped_carry is read as 'dropped carry'."""
    return kind.replace("_", " ")


def task_name(task: str, role: Role) -> str:
    """A task in a table; a guard is marked as one."""
    name = task_words(task)
    return f"{name} (guard)" if role == "guard" else name


def for_readers(report: Report) -> Report:
    """The report as people should see it: if the final model is the base, the base's numbers are not repeated.

    The same model on the same questions would show a difference of zero, with an interval that means nothing.
    """
    if not report.final_is_base:
        return report
    tasks = {
        task: {split: TaskResult(role=result.role, base=result.base) for split, result in splits.items()}
        for task, splits in report.tasks.items()
    }
    return msgspec.structs.replace(
        report,
        tasks=tasks,
        skills=tuple(msgspec.structs.replace(item, final=None) for item in report.skills),
        error_kinds=tuple(
            msgspec.structs.replace(item, fixed=None, unscorable=None, right_before=None, broken=None)
            for item in report.error_kinds
        ),
        relearnt=(),
        cases=tuple(msgspec.structs.replace(case, after=None) for case in report.cases),
    )


def noise_text(noise: Noise) -> str:
    """What a reader of a difference should know: how much there is without one."""
    where = f"Noise floor of {noise.task} ({noise.split}):"
    asked = f"of {noise.n} verdicts changed"
    when = "when the base was asked again in other batches"
    if not noise.verdicts_differ:
        return f"{where} none {asked} {when}."
    points = signed((noise.right_after - noise.right_before) / noise.n)
    return f"{where} {noise.verdicts_differ} {asked} ({points} points) {when}."


def noise_beside(report: Report, task: str) -> str:
    """What stands beside every difference of a task: how many verdicts an identical rerun changed."""
    for noise in report.noise:
        if noise.task == task:
            points = signed((noise.right_after - noise.right_before) / noise.n) if noise.verdicts_differ else "0"
            return f"{noise.verdicts_differ} of {noise.n} ({points})"
    return "not measured"


def point_name(point: Point) -> str:
    """A checkpoint in a table: base, cycle 1, or cycle 2 at half its update."""
    if not point.cycle:
        return "base"
    return f"cycle {point.cycle}" + (f", scale {point.scale:g}" if point.scale != 1.0 else "")


def spent_text(report: Report) -> str:
    """The dollars against the cap, and the instructor's for each accepted sample."""
    spending = report.spending
    text = f"${spending.usd:.2f} for {count(spending.calls, 'instructor call')}"
    if spending.assumed_usd:
        text += f" (${spending.assumed_usd:.2f} of it assumed, for replies that the server did not count)"
    if spending.host_usd:
        text += f" and ${spending.host_usd:.2f} for answers and training"
    both = spending.usd + spending.host_usd
    if spending.budget_usd is None:
        text += ", with no cap" if both else ""
    elif spending.budget_usd:
        text += f", {percent(both / spending.budget_usd)} of the cap of ${spending.budget_usd:.2f}"
    else:
        text += ", with a cap of $0.00"
    each = spending.usd_per_sample
    return f"{text}; ${each:.4f} for each verified sample." if spending.usd and each is not None else f"{text}."


def cause_text(report: Report) -> str:
    """What the effects by kind of mistake show, and what they do not."""
    control = report.control
    if control is None:
        return (
            "Association, not proof: all kinds are trained on together, and other samples teach the same skills. Only"
            " a control, a run of the same base on the same questions with other samples, shows what the samples"
            " against a kind added."
        )
    if control.whole is None:
        return (
            f"The control {control.name} ({control.strategy}) shares none of these mistakes, or they were not asked"
            " again here yet."
        )
    return (
        f"Against the control {control.name} ({control.strategy}{', which kept no candidate' * control.final_is_base}):"
        f" {versus_text(control.whole)}. Single kinds are small and many: their p-values are not corrected for that."
    )


def versus_text(versus: Versus) -> str:
    """The same mistakes in two runs: of 40 mistakes 30 fixed here and 22 there, +20.0 (+1.2 to +37.0) points."""
    return (
        f"of {count(versus.n, 'shared mistake')} {versus.fixed} fixed here and {versus.control_fixed} there,"
        f" {difference_text(versus.difference)} points, {p_text(versus.p_value)}"
    )


def corrections_text(corrections: Mapping[str, int]) -> str:
    """What people changed: 'People struck out 2 samples and corrected 1 score.'; empty if nobody did."""
    doing = {"strike": "struck out", "restore": "restored", "edit": "edited", "score": "corrected"}
    parts = [
        f"{doing.get(kind, kind)} {count(n, 'score' if kind == 'score' else 'sample')}"
        for kind, n in corrections.items()
    ]
    if not parts:
        return ""
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    return f"People {listed}. The next training uses what they said; the accuracies here are the scorer's."


def changes_text(report: Report) -> str:
    """What was changed in the run file on the way, since numbers before and after it are not of one run file."""
    if not report.changes:
        return ""
    listed = "; ".join(
        f"from cycle {item.cycle} on {item.key} is {brief(item.after)} instead of {brief(item.before)}"
        for item in report.changes
    )
    return f"The run file was changed between two starts: {listed}."


def shown_text(report: Report) -> str:
    """How many of the mistakes are shown in full."""
    n = sum(item.n for item in report.strata)
    return f"Showing {len(report.cases)} of {count(n, 'mistake')}"


def percent(share: float) -> str:
    """A share as a percentage with one digit: 31.5%."""
    return f"{100 * share:.1f}%"


def signed(share: float) -> str:
    """A difference of shares in points, with its sign: +22.5 (a typographic minus below zero)."""
    return f"{100 * share:+.1f}".replace("-", "−")


def with_interval(accuracy: Accuracy) -> str:
    """Accuracy with its 95% interval: 31.5% (24.1 to 39.9)."""
    return f"{percent(accuracy.accuracy)} ({100 * accuracy.low:.1f} to {100 * accuracy.high:.1f})"


def difference_text(difference: Difference) -> str:
    """A difference with its 95% interval, in points: +22.5 (+15.0 to +29.8)."""
    return f"{signed(difference.value)} ({signed(difference.low)} to {signed(difference.high)})"


def p_text(p_value: float) -> str:
    """A p-value to two significant digits; tiny ones as a bound."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"


def duration(seconds: float) -> str:
    """Seconds as people say them: 42 s, 4 min 12 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def brief(text: str, most: int = 80) -> str:
    """A name as a table shows it: an instructor may call a kind of mistake by a whole paragraph."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def sentence(text: str) -> str:
    """A reason as a sentence: with a capital, and one full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def headline(report: Report) -> Headline:
    """The outcome of the run, however far it is."""
    accepted = [cycle for cycle in report.cycles if cycle.decision == "accept"]
    if not report.cycles:
        return Headline("No cycle is decided yet", "These are the results of the base model as it came.")
    if not report.finished:
        text = f"{len(report.cycles)} of {report.planned_cycles} cycles are decided; the same command goes on."
        return Headline("The run has not finished", text)
    if accepted:
        return Headline("A better model was kept", " ".join(_gain_sentences(report)))
    if report.cycles[0].decision == "stop":
        return Headline("There was nothing to learn", _nothing_wrong(report))
    if not any(cycle.comparisons for cycle in report.cycles):
        return Headline("No candidate was examined; the base model stays", _nothing_compared(report))
    return Headline("No gain was shown; the base model stays", _no_gain(report))


def again_text(item: Relearnt) -> str:
    """What asking the train questions again showed, gains and losses alike."""
    return (
        f"Of {count(item.n, 'train question')} of {item.task}, {item.right_before} were right before and"
        f" {item.right_after} are now: {len(item.fixed)} fixed, {len(item.broken)} newly broken."
    )


def guard_text(name: str, result: TaskResult, alpha: float) -> str:
    """What a guard's test against its margin showed at `alpha`, or an empty text if there is none."""
    if result.worse_p is None or result.margin is None or result.difference is None:
        return ""
    margin, shown = f"{100 * result.margin:g} points", result.worse_p <= alpha
    verdict = f"a loss of {margin} or more is ruled out" if shown else f"a loss of {margin} is not ruled out"
    return f"{name}: {difference_text(result.difference)} points, {verdict} ({p_text(result.worse_p)})."


def form_text(fixed: int, broken: int, form: Form) -> str:
    """What part of a change is that answers became readable or unreadable, and what is left without them."""
    parts = []
    if form.newly_readable:
        parts.append(f"{form.newly_readable} of the {fixed} fixed answers could not be scored before")
    if form.no_longer_readable:
        parts.append(f"{form.no_longer_readable} of the {broken} broken ones cannot be scored now")
    alone = form.newly_readable > form.no_longer_readable and form.difference <= 0
    return (
        f"{' and '.join(parts)}: without them the change is {signed(form.difference)} points (a gain by the one-sided"
        f" test with {p_text(form.p_value)}){', so the gain is of form alone' * alone}."
    )


STRATEGY_COLUMNS = ("Strategy", "Drafts", "Verified", "Trained on", "Kept", "Mistakes behind them", "Right at the end")


def strategy_row(item: StrategyResult) -> list[object]:
    """One strategy's numbers, by `STRATEGY_COLUMNS`."""
    fixed = "–" if item.fixed is None or not item.mistakes else item.fixed
    return [item.strategy, item.drafts, item.samples, item.trained, item.kept, item.mistakes or "–", fixed]


def list_result_remarks(report: Report) -> list[str]:
    """What a reader of the accuracies should know: questions counted twice or belonging together, gains of form."""
    found = [shared_text(report.shared)] if report.shared else []
    for task, splits in report.tasks.items():
        for split, result in splits.items():
            if result.form is not None:
                found.append(f"{task} ({split}): {form_text(result.fixed, result.broken, result.form)}")
            if result.final is not None and result.groups < result.final.n:
                found.append(f"{task} ({split}): {groups_text(result.final.n, result.groups)}")
    return found


def groups_text(n: int, groups: int) -> str:
    """That questions belong together, and what follows for the numbers."""
    some = "1 group" if groups == 1 else f"{groups} groups"
    return f"{n} questions in {some} that belong together or stand alone; intervals and p are over groups."


def shared_text(shared: int) -> str:
    """That the gate, which adds the learnt tasks up, has some questions before it more than once."""
    some = "1 dev question or group of them is" if shared == 1 else f"{shared} dev questions or groups of them are"
    return f"{some} in more than one learnt task; the gate counts them in each, so its p is smaller than it should be."


def notes(report: Report) -> list[str]:
    """How to read the numbers: what they are, and what they are not."""
    return [
        *report.left_out,
        *_doubts(report),
        "Intervals are 95%: Wilson's for an accuracy, Tango's for the difference on the same questions. p is of"
        f" {PAIRED}.",
        "The gate decided on dev only, so dev favours an accepted model a little; test was read once, after the last"
        " decision.",
        "A response that could not be scored counts as not right, before and after, and is counted separately. Beside a"
        " gain stands what part of it is that answers became readable.",
        "Questions that belong together (duplicates, one passage, variants of one question) are one piece of evidence.",
        "The noise floor is how many verdicts changed when the base was asked the same dev questions again in other"
        " batches: a difference no larger than that says nothing.",
        "A fate is of the checkpoints that were kept: a candidate that was turned down has an accuracy and no fate.",
        f"The rule was fixed before the first cycle: an error rate of {report.alpha:g} for the whole run, so"
        f" {report.alpha_each:.2g} for each test.",
    ]


def _doubts(report: Report) -> list[str]:
    """What more than half of the base's answers have in common, so that the numbers are of that as well."""
    told = []
    for name, splits in report.tasks.items():
        for split, result in splits.items():
            base = result.base
            if 2 * base.truncated > base.n:
                told.append(
                    f"{base.truncated} of {base.n} {split} answers of {name} were cut off: the limit is measured as"
                    " well as the model; raise max_new_tokens, or name what ends an answer with stop."
                )
            if 2 * base.unscorable > base.n:
                told.append(
                    f"{base.unscorable} of {base.n} {split} answers of {name} could not be scored: form is measured"
                    " more than knowledge; have the prompt ask for the form that the scorer reads."
                )
            if 10 * result.otherwise > base.n:
                told.append(
                    f"{result.otherwise} of the {base.n - base.right} {split} answers of {name} that are not right give"
                    " the gold answer in another form; show the form with shots, or a gain will be of form."
                )
    return told


def _gain_sentences(report: Report) -> list[str]:
    sentences = []
    for name, splits in report.tasks.items():
        result = splits.get("test")
        if result is None or result.role != "learn" or result.final is None or result.difference is None:
            continue
        sentences.append(
            f"On {result.final.n} unseen test questions of {name}, {percent(result.final.accuracy)} are right"
            f" instead of {percent(result.base.accuracy)}: {difference_text(result.difference)} points,"
            f" {p_text(result.p_value if result.p_value is not None else 1.0)}."
        )
        if result.form is not None:
            text = form_text(result.fixed, result.broken, result.form)
            sentences.append(f"{text[:1].upper()}{text[1:]}")
        if result.difference.low <= 0:
            sentences.append("That interval includes no change: the gain on dev did not show again on test by itself.")
    found = sentences or ["The gate accepted it on dev; there is no test split to confirm it."]
    return [*found, *_form_of_the_decisions(report)]


def _form_of_the_decisions(report: Report) -> list[str]:
    """Which accepted cycles the gate accepted for a gain of form."""
    named = [str(cycle.cycle) for cycle in report.cycles if cycle.decision == "accept" and cycle.form]
    if not named:
        return []
    cycles = f"cycle {named[0]}" if len(named) == 1 else f"cycles {' and '.join(named)}"
    return [
        f"In {cycles} the gain on dev is one of form: it is not shown among the answers that could be scored before and"
        " after."
    ]


def _nothing_wrong(report: Report) -> str:
    """Only what was seen: an answer that could not be read was not seen to be right."""
    seen = [
        splits["train"].base
        for splits in report.tasks.values()
        if "train" in splits and splits["train"].role == "learn"
    ]
    right, n, unreadable = (sum(getattr(item, name) for item in seen) for name in ("right", "n", "unscorable"))
    if right == n:
        return "The base model made no mistake on the train questions."
    return (
        f"Of {count(n, 'train question')} the base model answered {right} right, and {unreadable} of its answers could"
        " not be scored; what cannot be scored is not learnt from."
    )


def _nothing_compared(report: Report) -> str:
    reasons = dict.fromkeys(cycle.reason for cycle in report.cycles)
    return (
        f"In {count(len(report.cycles), 'cycle')} nothing came as far as the gate, so no gain was looked for and none"
        f" was ruled out. {' '.join(sentence(reason) for reason in reasons)}"
    )


def _no_gain(report: Report) -> str:
    tried = count(len(report.cycles), "cycle")
    reach = "This gate has too few dev questions to find any gain reliably"
    if report.detectable is not None:
        reach = f"The smallest gain that this gate finds reliably is {100 * report.detectable:.1f} points"
    return (
        f"After {tried} no candidate was shown to be better on dev without making a guard worse, so the model is"
        f" unchanged and nothing was lost. {reach}; more dev questions, more samples or another instructor are the"
        " usual next things to try."
    )


def cost_row(item: KindCost) -> list[object]:
    """A row of a table for people: task, kind, dollars, accepted samples, dollars for each."""
    each = "–" if item.each is None else f"${item.each:.4f}"
    return [item.task or "–", words(item.kind) or "no diagnosis", f"${item.usd:.4f}", item.samples, each]


def each_text(usd: float, each: float | None) -> str:
    """The end of a sentence about dollars; empty if nothing was spent or accepted."""
    return f", ${each:.4f} for each verified sample" if usd and each is not None else ""
