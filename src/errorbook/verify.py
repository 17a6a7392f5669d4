"""Beyond the paper: Draft -> Sample | Rejection. Decides what may be trained on; keeps every reject with its reason.

`CHECKS` holds the checks in their order; the first that fails is the reason. The order matters: a check may rely on
those before it (a sum is only recomputed if the draft is well formed), and cheap checks come before dear ones. A
heading before the question ("#### Question:") is taken off, and the rest is checked.

Covers one draft at a time in a fixed order, so that a resumed run decides the same. Asks no model: blind votes come in
as data (see `interfaces.Checker`). It does not decide how many drafts are asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec
from annotated_types import Interval

from errorbook.checks.eaten_backslashes import find_eaten, find_in_code
from errorbook.checks.equations import find_wrong_equation
from errorbook.checks.giveaways import find_leak, take_off_heading
from errorbook.checks.hedging import find_doubt
from errorbook.checks.quantities import find_misfit
from errorbook.checks.taken import Protected, Refusal, Taken
from errorbook.checks.verdicts import require_verdicts
from errorbook.interfaces import BatchScorer, Scorer, Solver, Task
from errorbook.records import Draft, Example, Rejection, Sample, Score, Verdict

_OWN = "the solution"
_BY_DATA = "the solution, by the data"
_FUNCTION = re.compile(r"^def (\w+)\(", re.MULTILINE)

LONGEST = 100_000
"""Characters of each part of a draft: many times what any training reads of a lesson."""


class VerifySection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[verify]`: `answers = "trust"` skips the recomputation of answers (for ablations only).

    `ngram` is how many words in a row a sample may not share with a held-out question; 13 as in GPT-3's
    decontamination (Brown et al. 2020, appendix C). `votes` is how often the instructor solves a draft's question blind
    if the task cannot recompute its answer. `against` names tasks whose whole dev and test splits no sample may
    overlap with; if it is not given, these are all benchmarks below $ERRORBOOK_DATA. `only_missed` rejects what the
    target answers right already: there is little to learn from that, so others are asked for.
    """

    answers: Literal["recompute", "trust"] = "recompute"
    near_duplicate: Annotated[float, Interval(gt=0, le=1)] = 0.8
    ngram: Annotated[int, Interval(ge=1, le=1000)] = 13
    votes: Annotated[int, Interval(ge=0, le=100)] = 3
    against: tuple[str, ...] | None = None
    only_missed: bool = False


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the drafts besides themselves, by draft hash.

    `votes` are blind answers (an empty one if a call failed); `wrong` is the response that the draft was written
    against; `own` is the train question whose own wording the draft keeps, which may be repeated and whose answer is
    known; `answered` is what the target's own answers to the drafts' questions are worth, if it was asked;
    `trust_answers` skips every independent check of the answer (for ablations, and for recorded samples).
    """

    votes: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict)
    wrong: Mapping[str, str] = msgspec.field(default_factory=dict)
    own: Mapping[str, Example] = msgspec.field(default_factory=dict)
    answered: Mapping[str, Verdict] = msgspec.field(default_factory=dict)
    trust_answers: bool = False

    def source(self, draft: Draft) -> Example | None:
        """The train question whose wording the draft keeps, if it really does."""
        example = self.own.get(draft.hash)
        kept = example is not None and (example.question, example.choices) == (draft.question, draft.choices)
        return example if kept else None


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What drafts are held against. A check that needs a part which is None is not made.

    `tasks` holds task and scorer by task name; `scores` what was scored in a batch before, by draft and text.
    """

    tasks: Mapping[str, tuple[Task, Scorer]] | None = None
    evidence: Evidence = msgspec.field(default_factory=Evidence)
    scores: Mapping[tuple[str, str], Score] = msgspec.field(default_factory=dict)
    taken: Taken | None = None
    protected: Protected | None = None

    def judges(self, draft: Draft) -> tuple[Task, Scorer]:
        """The draft's task and scorer."""
        return (self.tasks or {})[draft.task]


class Check(NamedTuple):
    """One check: the name that a sample's `checks` give it, its reasons with their meaning for people, and itself.

    `needs` is what it reads besides the draft's texts: the task and its scorer, an answer that somebody else found,
    or other questions. `reads` says which drafts it is for: those with a solution in words, with a program, or all.
    `new` is for questions that somebody wrote: the wording of a train question is what the target is asked anyway.
    """

    name: str
    reasons: Mapping[str, str]
    find: Callable[[Draft, Known], Refusal | None]
    needs: Literal["nothing", "scorer", "answer", "questions"] = "nothing"
    reads: Literal["all", "words", "program"] = "all"
    new: bool = False


def verify(
    drafts: Sequence[Draft],
    tasks: Mapping[str, tuple[Task, Scorer]],
    taken: Taken,
    protected: Protected,
    evidence: Evidence | bool = False,
) -> Iterator[Sample | Rejection]:
    """Check drafts in their order; each gives exactly one Sample or one Rejection.

    Args:
        drafts: In an order that does not depend on timing, since the first of two duplicates is kept.
        tasks: Task and scorer by task name.
        taken: Questions that are used up; every sample is added to it.
        protected: The questions of dev, test and guard splits.
        evidence: Blind votes and wrong responses; True is short for evidence that only trusts the answers.
    """
    evidence = Evidence(trust_answers=evidence) if isinstance(evidence, bool) else evidence
    scores = _score_batches(drafts, tasks, evidence)
    known = Known(tasks=tasks, evidence=evidence, scores=scores, taken=taken, protected=protected)
    for draft in drafts:
        refusal = next(find_faults(draft, known), None)
        if refusal is not None:
            yield Rejection(draft=draft.hash, task=draft.task, reason=refusal.reason, detail=refusal.detail)
            continue
        source = known.evidence.source(draft)
        question = source.question if source else take_off_heading(draft.question)
        taken.add(question, draft.before)
        yield Sample(
            draft=draft.hash,
            task=draft.task,
            question=question,
            answer=draft.answer,
            solution=draft.solution,
            choices=draft.choices,
            skill=draft.skill,
            difficulty=draft.difficulty,
            checks=name_checks(*(("answer",) if evidence.trust_answers else ()), kept=source is not None),
            strategy=draft.strategy,
            whole=draft.whole,
            before=draft.before,
            accepted=_list_other_answers(draft, source) if source else (),
        )


def _list_other_answers(draft: Draft, source: Example) -> tuple[str, ...]:
    """What the data accept besides the draft's own answer, to the question whose wording it keeps.

    Programs are told right by their tests.
    """
    known = () if draft.tests else (source.answer, *source.accepted)
    return tuple(answer for answer in known if answer.strip() and answer != draft.answer)


def find_faults(draft: Draft, known: Known) -> Iterator[Refusal]:
    """Everything that is wrong with one draft, as far as it can be known, in the order of `CHECKS`.

    A draft that is too long for a lesson is wrong in that alone: the checks are not for books, and would take minutes.
    """
    malformed = False
    for field in ("question", "answer", "solution", "tests"):
        if len(getattr(draft, field)) > LONGEST:
            yield Refusal("format", f"the {field} has more than {LONGEST:,} characters")
            return
    for check in CHECKS:
        # Running a program that fails its own tests tells nothing about the tests.
        if _is_possible(check, draft, known) and not (malformed and check.reads == "program"):
            refusal = check.find(draft, known)
            if refusal is not None:
                malformed |= refusal.reason == "format"
                yield refusal


def _is_possible(check: Check, draft: Draft, known: Known) -> bool:
    if check.reads != "all" and (check.reads == "program") != bool(draft.tests):
        return False
    if check.new and known.evidence.source(draft) is not None:
        return False
    if check.needs == "questions":
        return known.taken is not None and known.protected is not None
    untrusting = check.needs != "answer" or not known.evidence.trust_answers
    return check.needs == "nothing" or (known.tasks is not None and untrusting)


def name_checks(*without: str, kept: bool = False) -> tuple[str, ...]:
    """The names of the checks, in their order, but for those that need one of `without`.

    `kept`: the question is one of train, so checks of new ones are left out.
    """
    return tuple(
        check.name for check in CHECKS if check.name and check.needs not in without and not (kept and check.new)
    )


def hide_answer(draft: Draft) -> Example:
    """What a checker may see of a draft: the question and its options, not the answer and not the solution."""
    return Example(
        id=draft.hash,
        task=draft.task,
        split="train",
        question=take_off_heading(draft.question),
        answer="",
        choices=draft.choices,
        before=draft.before,
    )


def _check_format(draft: Draft, known: Known) -> Refusal | None:
    task, scorer = known.judges(draft)
    # Data with options or programs hold no more than the right one: to choose or write it is what is taught then.
    optional = {"solution"} if known.evidence.source(draft) and (draft.choices or draft.tests) else set()
    for field in ("question", "solution", "tests" if draft.tests else "answer"):
        if field not in optional and not getattr(draft, field).strip():
            return Refusal("format", f"the {field} is empty")
    own = known.evidence.source(draft) is not None
    program = {draft.answer} if draft.tests else set()
    for text in (draft.solution, draft.answer, *(() if own else (draft.question, *draft.choices))):
        if found := (find_in_code if text in program else find_eaten)(text):
            return Refusal("format", f"a control character stands in the text, perhaps for a backslash: {found}")
    options = [" ".join(choice.split()).casefold() for choice in draft.choices]
    if len(set(options)) < len(options) or "" in options:
        return Refusal("format", "two options are the same, or one is empty")
    score = known.scores.get((draft.hash, _OWN)) or scorer.score(
        _judged_as(draft, known.evidence), _completion(draft, task)
    )
    if score.verdict == "right":
        return None
    if draft.tests:
        return Refusal("format", f"the solution does not pass its own tests: {score.evidence or score.verdict}")
    return Refusal("format", f"the completion states '{score.extracted}', the answer is '{draft.answer}'")


def _refuse(reason: str, found: str | None) -> Refusal | None:
    return Refusal(reason, found) if found else None


def _check_tests(draft: Draft, known: Known) -> Refusal | None:
    """Tests must tell programs apart: they fail for one that does nothing and for the response that was wrong."""
    task, scorer = known.judges(draft)
    for name, text in _opponents(draft, task, known.evidence).items():
        score = known.scores.get((draft.hash, name)) or scorer.score(as_example(draft, draft.answer), text)
        if score.verdict == "right":
            return Refusal("weak_tests", f"{name} passes the tests")
    return None


def _opponents(draft: Draft, task: Task, evidence: Evidence) -> dict[str, str]:
    """Programs that the tests of a draft must fail, by what they are."""
    names = dict.fromkeys(_FUNCTION.findall(draft.answer))
    nothing = "\n\n".join(f"def {name}(*args, **kwargs):\n    return None" for name in names)
    found = {"a program that does nothing": task.completion("", nothing) if nothing else ""}
    found["the wrong response"] = evidence.wrong.get(draft.hash, "")
    return {name: text for name, text in found.items() if text}


def _check_answer(draft: Draft, known: Known) -> Refusal | None:
    if source := known.evidence.source(draft):
        return _check_kept(draft, source, known)
    (task, scorer), votes = known.judges(draft), known.evidence.votes.get(draft.hash, ())
    if votes:
        return _check_votes(draft, task, scorer, votes)
    if not isinstance(task, Solver):
        return Refusal("unverifiable", f"the task '{task.name}' cannot recompute answers, and there are no blind votes")
    answer = task.solve(take_off_heading(draft.question))
    if answer is None:
        return Refusal("unverifiable", "the question is not one that the task understands")
    if scorer.score(as_example(draft, answer), task.completion("", draft.answer)).verdict != "right":
        return Refusal("wrong_answer", f"'{draft.answer}' is stated, '{answer}' recomputed")
    return None


def _check_kept(draft: Draft, source: Example, known: Known) -> Refusal | None:
    """The answer to a train question is known; one that is written otherwise is for the scorer to compare."""
    if not _is_doubted(draft, source, known.evidence):
        return None
    task, scorer = known.judges(draft)
    found = known.scores.get((draft.hash, _BY_DATA)) or scorer.score(source, _completion(draft, task))
    said = f"'{found.extracted}' is stated, the data say '{source.answer}'"
    return None if found.verdict == "right" else Refusal("wrong_answer", said)


def _is_doubted(draft: Draft, source: Example, evidence: Evidence) -> bool:
    """Whether a scorer has to say that the answer is that of the data."""
    return draft.answer != source.answer and not evidence.trust_answers


def _check_votes(draft: Draft, task: Task, scorer: Scorer, votes: Sequence[str]) -> Refusal | None:
    """More than half of the votes must give the answer; if more than half give another, the answer is wrong."""
    example = as_example(draft, draft.answer)
    verdicts = [scorer.score(example, task.completion("", vote)).verdict if vote.strip() else "" for vote in votes]
    right, wrong = verdicts.count("right"), verdicts.count("wrong")
    if 2 * right > len(votes):
        return None
    given = ", ".join(f"'{vote}'" for vote in votes)[:200]
    reason = "wrong_answer" if 2 * wrong > len(votes) else "unverifiable"
    return Refusal(reason, f"'{draft.answer}' is stated, {right} of {len(votes)} blind votes agree: {given}")


def _score_batches(
    drafts: Sequence[Draft], tasks: Mapping[str, tuple[Task, Scorer]], evidence: Evidence
) -> dict[tuple[str, str], Score]:
    """The scores, by draft and text, of what is scored faster in batches (programs run in parallel)."""
    scores: dict[tuple[str, str], Score] = {}
    for name, (task, scorer) in tasks.items():
        if isinstance(scorer, BatchScorer):
            asked: dict[tuple[str, str], tuple[Example, str]] = {}
            for draft in drafts:
                if draft.task == name and (draft.solution.strip() or evidence.source(draft)):
                    own, example = _completion(draft, task), _judged_as(draft, evidence)
                    asked[draft.hash, _OWN] = example, own
                    if draft.tests:
                        opponents = _opponents(draft, task, evidence).items()
                        asked.update({(draft.hash, kind): (example, text) for kind, text in opponents})
                    elif (source := evidence.source(draft)) and _is_doubted(draft, source, evidence):
                        asked[draft.hash, _BY_DATA] = source, own
            found = require_verdicts(scorer.score_all(list(asked.values())), f"programs of drafts for '{name}'")
            scores.update(zip(asked, found, strict=True))
    return scores


def _completion(draft: Draft, task: Task) -> str:
    return draft.solution if draft.whole else task.completion(draft.solution, draft.answer)


def _judged_as(draft: Draft, evidence: Evidence) -> Example:
    """The question that a draft's own solution answers; if it is a train question, with all that its data accept."""
    source = evidence.source(draft)
    return source if source and source.answer == draft.answer else as_example(draft, draft.answer)


def as_example(draft: Draft, answer: str) -> Example:
    """A draft as a question of train whose right answer is this one; its id is the draft's hash."""
    return Example(
        id=draft.hash,
        task=draft.task,
        split="train",
        question=take_off_heading(draft.question),
        answer=answer,
        choices=draft.choices,
        tests=draft.tests,
        before=draft.before,
    )


def _check_repetition(draft: Draft, known: Known) -> Refusal | None:
    return known.taken.clash(take_off_heading(draft.question), draft.before) if known.taken else None


def _check_contamination(draft: Draft, known: Known) -> Refusal | None:
    question = take_off_heading(draft.question)
    return known.protected.clash(question, draft.answer, draft.before) if known.protected else None


def _check_news(draft: Draft, known: Known) -> Refusal | None:
    answered = known.evidence.answered.get(draft.hash)
    return Refusal("known", "the target gave the stated answer") if answered == "right" else None


CHECKS = (
    Check(
        "format",
        {"format": "a part is missing or far too long, or no answer can be read from the solution"},
        _check_format,
        needs="scorer",
    ),
    Check(
        "leak",
        {"leak": "the question holds an answer, a solution or a heading"},
        lambda draft, _: _refuse("leak", find_leak(take_off_heading(draft.question))),
        new=True,
    ),
    Check(
        "doubt",
        {"doubt": "the solution breaks off, changes its mind, or talks about the student"},
        lambda draft, _: _refuse("doubt", find_doubt(draft.solution)),
        reads="words",
    ),
    Check(
        "",  # samples do not list it: it only reads what word problems hold
        {"quantity": "the answer is a part of a whole thing, rounded unasked, or in another unit than the question's"},
        lambda draft, _: _refuse(
            "quantity", find_misfit(take_off_heading(draft.question), draft.solution, draft.answer)
        ),
        reads="words",
        new=True,
    ),
    Check(
        "",  # samples do not list it: their checks are alike, whether they are programs or not
        {"weak_tests": "the tests pass for a program that does nothing, or for the wrong one"},
        _check_tests,
        needs="scorer",
        reads="program",
        new=True,
    ),
    Check(
        "answer",
        {
            "wrong_answer": "the answer, found independently, is another one",
            "unverifiable": "nothing but the instructor vouches for the answer",
        },
        _check_answer,
        needs="answer",
        reads="words",
    ),
    Check(
        "steps",
        {"wrong_step": "an equation in the solution does not hold"},
        lambda draft, _: _refuse("wrong_step", find_wrong_equation(draft.solution)),
        reads="words",
    ),
    Check(
        "duplicates",
        {
            "duplicate": "the question stands before, or in the train questions",
            "near_duplicate": "the same numbers in nearly the same words",
        },
        _check_repetition,
        needs="questions",
        new=True,
    ),
    Check(
        "contamination",
        {"contaminated": "a held-out question, or a run of its words"},
        _check_contamination,
        needs="questions",
    ),
    Check(
        "",  # last, and no fault of the draft: only a run that asks for it makes it
        {"known": "the target answers the question right already"},
        _check_news,
        new=True,
    ),
)
"""Every check, in their order. The only list of them: samples, edits and imported files all go through it."""
REASONS = {reason: meaning for check in CHECKS for reason, meaning in check.reasons.items()}
"""Every reason for a rejection, in the order of the checks, with what it means for people."""
