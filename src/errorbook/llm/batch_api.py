"""What the batch desk needs of a provider's batch API, and OpenAI's and Anthropic's."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec

from errorbook.llm.endpoint import Endpoint, Request
from errorbook.llm.faults import Garbled, classify_refusal
from errorbook.llm.http import Http, ServerAnswer
from errorbook.llm.refusals import read_complaint, read_message

T = TypeVar("T")

MOST_REQUESTS = 20_000
MOST_BYTES = 90_000_000
"""Of one batch; the providers take a little more."""


class Parcel(NamedTuple):
    """A batch ready to be submitted. `tag` finds it again if the answer to its submission is lost, unless empty."""

    tag: str
    body: bytes


class BatchReply(NamedTuple):
    """One result: the HTTP status that the request met, 0 if it was not worked on in time."""

    key: str
    status: int
    body: bytes


class FinishedBatch(NamedTuple):
    """A finished batch; `problem` is set if it was refused as a whole."""

    lines: list[BatchReply]
    problem: str = ""


class BatchApi(Protocol):
    """One provider's way to submit, find and fetch batches. Every method raises Fault or ModelError."""

    async def prepare(self, http: Http, items: list[tuple[str, Request]]) -> Parcel:
        """Everything up to the point from which money is owed."""
        ...

    async def create(self, http: Http, parcel: Parcel) -> str:
        """Submit; the batch's id."""
        ...

    async def find(self, http: Http, tag: str) -> str | None:
        """The id of the batch that was made of a parcel, if it was."""
        ...

    async def fetch(self, http: Http, batch: str) -> FinishedBatch | None:
        """The results, or None while it is not finished."""
        ...


@runtime_checkable
class BatchEndpoint(Protocol):
    """An endpoint whose provider has a batch API."""

    def batches(self) -> BatchApi:
        """The provider's batch API."""
        ...


class _Made(msgspec.Struct):
    id: str


class _Told(msgspec.Struct):
    id: str = ""
    status: str = ""
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: msgspec.Raw = msgspec.Raw(b"null")
    processing_status: str = ""


class _Listed(msgspec.Struct):
    data: list[_Told] = []


class _Body(msgspec.Struct):
    status_code: int
    body: msgspec.Raw


class _OpenAILine(msgspec.Struct):
    custom_id: str
    response: _Body | None = None


class OpenAIBatches:
    """Implements `BatchApi`: a file of requests goes up, files of replies come down."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def prepare(self, http: Http, items: list[tuple[str, Request]]) -> Parcel:
        """See `BatchApi`; the tag is the uploaded file's id."""
        lines = [
            msgspec.json.encode(
                {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": msgspec.Raw(request.body)}
            )
            for key, request in items
        ]
        answer = await http.upload(f"{self._endpoint.base_url}/files", "batch", b"\n".join(lines) + b"\n")
        file = _value(self._endpoint, answer, _Made).id
        asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        return Parcel(file, msgspec.json.encode(asked))

    async def create(self, http: Http, parcel: Parcel) -> str:
        """See `BatchApi`."""
        answer = await http.post(f"{self._endpoint.base_url}/batches", parcel.body)
        return _value(self._endpoint, answer, _Made).id

    async def find(self, http: Http, tag: str) -> str | None:
        """See `BatchApi`; looks among the last hundred batches."""
        answer = await http.send("GET", f"{self._endpoint.base_url}/batches?limit=100")
        batches = _value(self._endpoint, answer, _Listed).data
        return next((batch.id for batch in batches if batch.input_file_id == tag), None)

    async def fetch(self, http: Http, batch: str) -> FinishedBatch | None:
        """See `BatchApi`."""
        told = _value(self._endpoint, await http.send("GET", f"{self._endpoint.base_url}/batches/{batch}"), _Told)
        if told.status not in {"completed", "failed", "expired", "cancelled"}:
            return None
        lines = []
        for file in (told.output_file_id, told.error_file_id):
            if file:
                url = f"{self._endpoint.base_url}/files/{file}/content"
                lines += [self._line(line) for line in _lines(self._endpoint, await http.send("GET", url), _OpenAILine)]
        return FinishedBatch(lines, _problem(bytes(told.errors)) if told.status == "failed" else "")

    def _line(self, line: _OpenAILine) -> BatchReply:
        if line.response is None:
            return BatchReply(line.custom_id, 0, b"")
        return BatchReply(line.custom_id, line.response.status_code, bytes(line.response.body))


def _problem(errors: bytes) -> str:
    complaint = read_complaint(errors)
    full = "tokenlimitexceeded" in complaint.codes and "limit" not in complaint.words
    return (read_message(errors) or "no reason is given") + " (token_limit_exceeded)" * full


class _Result(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class _AnthropicLine(msgspec.Struct):
    custom_id: str
    result: _Result


class AnthropicBatches:
    """Implements `BatchApi`: the requests go up in the submission itself."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._url = f"{endpoint.base_url}/v1/messages/batches"

    async def prepare(self, http: Http, items: list[tuple[str, Request]]) -> Parcel:
        """See `BatchApi`; nothing finds a message batch again by its content."""
        requests = [{"custom_id": key, "params": msgspec.Raw(request.body)} for key, request in items]
        return Parcel("", msgspec.json.encode({"requests": requests}))

    async def create(self, http: Http, parcel: Parcel) -> str:
        """See `BatchApi`."""
        return _value(self._endpoint, await http.post(self._url, parcel.body), _Made).id

    async def find(self, http: Http, tag: str) -> str | None:
        """See `BatchApi`."""
        return None

    async def fetch(self, http: Http, batch: str) -> FinishedBatch | None:
        """See `BatchApi`."""
        told = _value(self._endpoint, await http.send("GET", f"{self._url}/{batch}"), _Told)
        if told.processing_status != "ended":
            return None
        answer = await http.send("GET", f"{self._url}/{batch}/results")
        return FinishedBatch([self._line(line) for line in _lines(self._endpoint, answer, _AnthropicLine)])

    def _line(self, line: _AnthropicLine) -> BatchReply:
        if line.result.type == "succeeded":
            return BatchReply(line.custom_id, 200, bytes(line.result.message))
        if line.result.type == "errored":
            error = bytes(line.result.error)
            return BatchReply(line.custom_id, 400 if b"invalid_request_error" in error else 500, error)
        return BatchReply(line.custom_id, 0, b"")


def _value(endpoint: Endpoint, answer: ServerAnswer, kind: type[T]) -> T:
    """The object that a server has sent. Raises what a refusal stands for, or Garbled if it is another one."""
    if answer.status != 200:
        raise classify_refusal(endpoint, answer.status, answer.headers, answer.body, known_good=False)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Garbled(f"the server sent what is no part of a batch API ({read_message(answer.body)})") from None


def _lines(endpoint: Endpoint, answer: ServerAnswer, kind: type[Any]) -> list[Any]:
    if answer.status != 200:
        raise classify_refusal(endpoint, answer.status, answer.headers, answer.body, known_good=True)
    try:
        return list(msgspec.json.Decoder(kind).decode_lines(answer.body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled(f"the file of results cannot be read ({error})") from None
