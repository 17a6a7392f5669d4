"""Where a run stands, in words: the same for the terminal and the browser's pages.

Cautious about time: "about", in two units at most, and nothing if nothing is known. It computes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from errorbook.render.task_words import task_words
from errorbook.render.words import count, percent

if TYPE_CHECKING:
    from errorbook.ledger.events import Event, StageName
    from errorbook.report.status import Status

_KINDS = {"exam": "an exam of the base model", "book": "a book imported from logs"}
_STAGES: dict[StageName, tuple[str, str]] = {
    "evaluate": ("evaluate {task} {split}", "answering the {split} questions of {task}"),
    "noise": ("noise floor of {task}", "answering the {split} questions of {task} once more"),
    "contrast": ("find contrasts", "finding contrasts"),
    "diagnose": ("diagnose", "diagnosing mistakes"),
    "write": ("write drafts", "writing drafts"),
    "vote": ("vote", "answering drafts blind"),
    "verify": ("verify", "verifying drafts"),
    "train": ("train", "training"),
    "score": ("score {task}", "scoring {task}"),
}


def stage_name(event: Event) -> str:
    """A stage as a log names it: 'evaluate sums dev'."""
    return _STAGES[event.stage][0].format(task=event.task, split=event.split)


def where(status: Status) -> str:
    """How far the run is: 'in cycle 2 of 3', 'the final exam', 'finished'."""
    if status.finished:
        return "finished"
    if status.kind != "run":
        return f"{_KINDS[status.kind]}, before the first cycle"
    if status.stage and status.stage.cycle > status.planned_cycles:
        return "in the final exam"
    return f"in cycle {status.cycle} of {status.planned_cycles}" if status.cycle else "before the first cycle"


def activity(status: Status) -> str:
    """What it is doing: 'answering the dev questions of sums'; empty if it began nothing, or nothing is left to do."""
    stage = status.stage
    return "" if stage is None else _STAGES[stage.name][1].format(task=stage.task, split=stage.split)


def doing(status: Status) -> str:
    """One sentence on the present stage with its counts and the time left, or an empty text."""
    stage, name = status.stage, activity(status)
    if stage is None:
        return ""
    far = f", {stage.done} of {stage.total}" if stage.total else ""
    if status.state != "running":
        return f"Stopped while {name}{far}." if stage.done else f"Next is {name}."
    return f"Now {name}{far}{_left(status)}."


def next_step(status: Status) -> str:
    """How a run that stopped goes on, or an empty text."""
    if status.state != "stopped":
        return ""
    return f"It goes on with: {command(status)}"


def command(status: Status) -> str:
    """The command that goes on with the run; the name of its run file is the user's to know."""
    return f"errorbook {'exam' if status.kind == 'exam' else 'run'} FILE --out {status.run}"


def results(status: Status) -> list[tuple[str, str, str]]:
    """Accuracy by task in brief: name, split, '34.0% → 70.0%' (base, then final); test, if it was read, else dev."""
    shares: dict[tuple[str, str, str], str] = {
        (item.task, item.split, item.checkpoint): percent(item.right / item.total)
        for item in status.evaluations
        if item.total and item.done == item.total
    }
    found = []
    judged = {item.task for item in status.evaluations if item.split != "train"}  # not those of practice
    for task in dict.fromkeys(item.task for item in status.evaluations if not judged or item.task in judged):
        split = next((name for name in ("test", "dev", "train") if (task, name, "base") in shares), None)
        if split is not None:
            sides = (shares.get((task, split, side)) for side in ("base", "final"))
            found.append((task_words(task), split, " → ".join(side for side in sides if side)))
    return found


def money(status: Status) -> str:
    """Dollars spent, of the cap if there is one: '$1.25 of $40.00 ($38.75 left)'."""
    both = status.usd + status.host_usd
    if status.budget_usd is None:
        return f"${both:.2f}"
    left = max(status.budget_usd - both, 0.0)
    return f"${both:.2f} of ${status.budget_usd:.2f} (${left:.2f} left)"


def about(seconds: float) -> str:
    """A forecast as people say it: 'less than a minute', '5 minutes', '2 hours', '3 days'."""
    minutes = round(seconds / 60)
    if seconds < 45:
        return "less than a minute"
    if minutes < 90:
        return count(max(minutes, 1), "minute")
    hours = round(seconds / 3600)
    return count(hours, "hour") if hours < 48 else count(round(seconds / 86400), "day")


def _left(status: Status) -> str:
    """'; about 5 minutes left, about 2 hours for the whole run', as far as it is known."""
    if status.stage_seconds_left is None:
        return ""
    text = f"; {_approximately(status.stage_seconds_left)} left"
    if status.run_seconds_left is not None and status.run_seconds_left > status.stage_seconds_left + 60:
        text += f", {_approximately(status.run_seconds_left)} for the whole run at most"
    return text


def _approximately(seconds: float) -> str:
    words_for = about(seconds)
    return words_for if words_for.startswith("less") else f"about {words_for}"
