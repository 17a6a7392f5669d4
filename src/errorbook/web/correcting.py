"""Correcting by hand in the browser: what the forms need to know, and the answers to what they send.

It hands corrections over to `corrections`. Every answer leads back to the page that the form was on, or says in one
sentence what must be changed, with what was typed still there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from errorbook.corrections.inbox import author, find_first_use, list_corrections, list_waiting, submit
from errorbook.errors import LedgerError, UserError
from errorbook.ledger import keys
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import Checkpoints, read_config
from errorbook.records import Correction, Draft, Rejection, Sample, Split, Training, Verdict
from errorbook.web.answering import book_of, list_crumbs, not_found, part, path, read_form, refuse, show, templates
from errorbook.web.shelf import Book

VERDICTS: tuple[Verdict, ...] = ("right", "wrong", "unscorable")
KINDS: tuple[Literal["strike", "edit", "restore"], ...] = ("strike", "edit", "restore")
LONGEST = 100_000
"""Characters of a typed text."""
_DONE = {"strike": "Struck out", "edit": "Edited", "restore": "Restored", "score": "Scored by hand"}


class CorrectionState(NamedTuple):
    """How a draft or response stands corrected: the newest correction, whether it waits, and what comes of it."""

    now: Correction | None
    waiting: bool
    status: str
    effect: str
    refusal: str
    me: str


# What a page shows -------------------------------------------------------------------------------------------------


def sample_desk(book: Book, draft: str) -> CorrectionState | None:
    """How a draft's sample stands corrected; None if it has none, so that there is nothing to correct."""
    with book.reading() as ledger:
        if ledger.find(Sample, draft) is None:
            return None
        return _desk(book, ledger, draft, lambda item, cycle: _used(ledger, item, cycle))


def score_desk(book: Book, response: str, split: Split) -> CorrectionState:
    """How a response stands corrected."""
    with book.reading() as ledger:
        return _desk(book, ledger, response, lambda item, cycle: _studied(ledger, cycle, split))


def _desk(book: Book, ledger: Ledger, subject: str, effect: Callable[[Correction, int], str]) -> CorrectionState:
    known = list_corrections(ledger, subject)
    waits = [item.correction for item in list_waiting(book.folder) if item.correction.subject == subject]
    fresh = [item for item in waits if not known or item != known[-1].correction]
    if not known and not fresh:
        return CorrectionState(None, False, "", "", "", author())
    if fresh:
        now, cycle = fresh[-1], find_first_use(ledger, fresh[-1])
    else:
        now, _, cycle = known[-1]
    rejection = None if fresh else ledger.find(Rejection, known[-1].key)
    refusal = f"{rejection.reason.replace('_', ' ')}: {rejection.detail}" if rejection else ""
    who = f" by {now.author}" if now.author else ""
    verdict = f": {now.verdict}" if now.verdict else ""
    reason = f" ({now.reason.rstrip('.')})" if now.reason else ""
    return CorrectionState(
        now, bool(fresh), f"{_DONE[now.kind]}{who}{verdict}{reason}.", effect(now, cycle), refusal, author()
    )


def _used(ledger: Ledger, correction: Correction, cycle: int) -> str:
    """Which training goes by a correction of a sample, as far as the ledger tells."""
    config = read_config(ledger)
    own = next(
        (each for each in range(1, config.run.cycles + 1) if any(ledger.all(Sample, each, correction.subject))), 0
    )
    if cycle <= own:
        trained = ledger.find(Training, keys.training(own)) is not None
        return f"The training of cycle {own} {'went' if trained else 'will go'} by it."
    said = f"Cycle {own} was trained before this."
    if config.train.start == "restart" and not _is_over(ledger, config.run.cycles):
        return f"{said} Later trainings start from the base again and go by it; so do exported samples."
    return f"{said} The model stays as it is; exported samples go by it."


def _studied(ledger: Ledger, cycle: int, split: Split) -> str:
    """What a corrected score changes: never what the gate or the report counts."""
    if split != "train":
        return f"A remark: {split} stays as it was scored, because the rule of the gate was fixed before the run."
    planned = read_config(ledger).run.cycles
    if cycle > planned or _is_over(ledger, planned):
        return "A remark: the run has studied its last mistakes. The counts stay as they were scored."
    return (
        f"From cycle {cycle} on it decides whether the answer is studied as a mistake, shown as a contrast or"
        " rehearsed; so does the same answer of a later checkpoint. The counts stay as they were scored."
    )


def _is_over(ledger: Ledger, planned: int) -> bool:
    decisions = Checkpoints(ledger).decisions
    return len(decisions) >= planned or any(decision.outcome == "stop" for decision in decisions)


# What a form sends -------------------------------------------------------------------------------------------------


def correct_sample(request: Request) -> Response:
    """Strike a sample out, edit it or restore it."""
    book, draft = book_of(request), part(request, "draft")
    kind = next(each for each in KINDS if request.url.path.endswith(f"/{each}"))
    fields = read_form(request)
    correction = Correction(
        subject=draft,
        kind=kind,
        author=_line(fields, "author"),
        reason=_line(fields, "reason"),
        question=_text(fields, "question") if kind == "edit" else "",
        answer=_text(fields, "answer") if kind == "edit" else "",
        solution=_text(fields, "solution") if kind == "edit" else "",
    )
    return _record(request, book, correction, path("runs", book.slug, "samples", draft), fields)


def correct_score(request: Request) -> Response:
    """Correct a score."""
    book, response = book_of(request), part(request, "response")
    fields = read_form(request)
    verdict = next((each for each in VERDICTS if each == fields.get("verdict")), None)
    if verdict is None:
        refuse("A corrected score needs a verdict; go back and choose right, wrong or unscorable.")
    correction = Correction(
        subject=response,
        kind="score",
        author=_line(fields, "author"),
        reason=_line(fields, "reason"),
        verdict=verdict,
    )
    return _record(request, book, correction, path("runs", book.slug), fields)


def _record(request: Request, book: Book, correction: Correction, home: str, fields: dict[str, str]) -> Response:
    """Record it and lead back to the page of the form; if it cannot be, say why and keep what was typed."""
    back = _own(fields.get("back", ""), book) or home
    try:
        submit(book.folder, correction)
    except LedgerError as error:
        return _show_refusal(request, book, correction, back, str(error), 503)
    except UserError as error:
        return _show_refusal(request, book, correction, back, str(error), 422)
    return RedirectResponse(f"{back}#correct-{correction.subject[:12]}", 303)


def _show_refusal(
    request: Request, book: Book, correction: Correction, back: str, sentence: str, status: int
) -> Response:
    with book.reading() as ledger:
        draft = ledger.get(Draft, correction.subject)
    if draft is None and correction.kind != "score":
        not_found(request, sentence)
    return show(
        request,
        "web/correct_refused.html.j2",
        status=status,
        book=book,
        crumbs=list_crumbs(book, ("Correction", "")),
        correction=correction,
        draft=draft,
        back=back,
        sentence=sentence,
    )


def _own(address: str, book: Book) -> str:
    """An address of this book's own pages, without its fragment; nothing for any other."""
    parts = urlsplit(address)
    mine = path("runs", book.slug)
    if parts.scheme or parts.netloc or "\\" in address or not f"{parts.path}/".startswith(f"{mine}/"):
        return ""
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _line(fields: dict[str, str], name: str) -> str:
    return " ".join(fields.get(name, "").split())[:500]


def _text(fields: dict[str, str], name: str) -> str:
    """A typed text; browsers send each line's end as two characters."""
    text = fields.get(name, "").replace("\r\n", "\n").strip()
    if len(text) > LONGEST:
        refuse(f"The {name} is longer than {LONGEST:,} characters; go back and shorten it.")
    return text


ROUTES: list[BaseRoute] = [
    *(Route(f"/runs/{{run}}/samples/{{draft}}/{kind}", correct_sample, methods=["POST"]) for kind in KINDS),
    Route("/runs/{run}/responses/{response}/score", correct_score, methods=["POST"]),
]

templates().globals.update(sample_desk=sample_desk, score_desk=score_desk)
