"""Texts exactly as they were recorded, byte for byte: a response, a thought, a draft's solution, a call, a question."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from errorbook.ledger.file import Ledger
from errorbook.records import Call, Draft, Example, Record, converse
from errorbook.web.answering import book_of, not_found, part, raw

_Find = Callable[[Ledger, str, str | None], str | None]


def raw_page(request: Request) -> Response:
    """One recorded text. A response is found faster if `?example=` names its question."""
    book, kind, id = book_of(request), part(request, "kind"), part(request, "id")
    find = _KINDS.get(kind)
    if find is None:
        not_found(request, f"There is no kind of text '{kind}'; there are {', '.join(_KINDS)}.")
    with book.reading() as ledger:
        text = find(ledger, id, request.query_params.get("example"))
    if text is None:
        not_found(request, f"This run has no {kind} '{id}'.")
    return raw(text, f"{kind}-{id}")


def _response(ledger: Ledger, id: str, example: str | None) -> str | None:
    response = ledger.response(id, example)
    return response.text if response else None


def _thought(ledger: Ledger, id: str, example: str | None) -> str | None:
    response = ledger.response(id, example)
    return response.thought if response else None


def _text(kind: type[Record], name: str) -> _Find:
    """Finds one text of the record of this kind with a content hash."""

    def find(ledger: Ledger, id: str, _: str | None) -> str | None:
        record = ledger.get(kind, id)
        return None if record is None else str(getattr(record, name))

    return find


def _before(kind: type[Example | Draft]) -> _Find:
    """Finds what stands before a question, with the question, as one text."""

    def find(ledger: Ledger, id: str, _: str | None) -> str | None:
        record = ledger.get(kind, id)
        return None if record is None else str(converse(record.before, record.question))

    return find


_KINDS: dict[str, _Find] = {
    "response": _response,
    "thought": _thought,
    "before": _before(Example),
    "draft-before": _before(Draft),
    "draft-question": _text(Draft, "question"),
    "draft-solution": _text(Draft, "solution"),
    "draft-tests": _text(Draft, "tests"),
    "call-prompt": _text(Call, "prompt"),
    "call-reply": _text(Call, "reply"),
    "question": _text(Example, "question"),
    "solution": _text(Example, "solution"),
    "tests": _text(Example, "tests"),
}

ROUTES: list[BaseRoute] = [Route("/runs/{run}/raw/{kind}/{id:path}", raw_page)]
