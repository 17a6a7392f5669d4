"""The engine over a real socket: every fault, the store, the conversation about an invalid reply, and its ends."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from llm_kit import READ, Verse, ask, asks, engine, kinds

from errorbook.errors import ErrorbookError, LedgerError, ModelError
from errorbook.llm import structured
from errorbook.llm.endpoint import Reply
from errorbook.llm.engine import Engine
from errorbook.llm.http import HttpLimits
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.orders import Terms
from errorbook.llm.records import Accepted, Ask, Failed, InvalidReply, Rejected
from errorbook.testing import Faults, Server, Settings, server
from errorbook.testing.wire import ErrorReply, Turn


def anything(key: object, reply: Reply) -> str:
    return reply.text


def fail_on(words: str) -> Callable[[Sequence[Turn]], str]:
    """A server that fails whenever a prompt holds these words, and answers all others."""

    def script(turns: Sequence[Turn]) -> str:
        if words in turns[-1].content:
            raise ErrorReply(500, "server_error", "this prompt breaks me")
        return "a verse"

    return script


# what comes back ------------------------------------------------------------------------------------------------------


def test_every_ask_ends_as_one_result_and_says_what_it_took(tmp_path: Path) -> None:
    with server() as provider, engine(provider.base_url, tmp_path / "calls.sqlite") as llm:
        results = list(llm.ask(asks(50), READ))
        stats = provider.stats()

    assert sorted(result.key for result in results) == list(range(50))
    for result in results:
        assert isinstance(result, Accepted)
        assert isinstance(result.value, Verse)
        assert result.usage.attempts == 1
        assert not result.usage.cached
    assert sum(result.usage.input_tokens for result in results) == stats.input_tokens
    assert sum(result.usage.output_tokens for result in results) == stats.output_tokens


def test_free_text_needs_no_schema() -> None:
    with server(Settings(reply="Roses are red.")) as provider, engine(provider.base_url) as llm:
        (result,) = llm.ask([("only", ask("Write.", schema=""))], anything)

    assert isinstance(result, Accepted)
    assert result.value == "Roses are red."


def test_as_many_requests_are_in_the_air_as_allowed_and_no_more() -> None:
    with server(Settings(latency=0.05)) as provider, engine(provider.base_url, concurrency=16) as llm:
        list(llm.ask(asks(100), READ))

        assert provider.stats().peak_in_flight == 16


def test_asks_are_pulled_as_there_is_room() -> None:
    pulled = []

    def source() -> Iterator[tuple[int, Ask]]:
        for key, one in asks(1000):
            pulled.append(key)
            yield key, one

    with server() as provider, engine(provider.base_url, concurrency=4) as llm:
        results = llm.ask(source(), READ)
        for _ in range(20):
            next(results)
        results.close()  # type: ignore[attr-defined]

    assert len(pulled) <= 20 + llm.window


def test_one_asking_may_feed_another() -> None:
    with server(script=lambda turns: turns[-1].content.upper()) as provider, engine(provider.base_url) as llm:
        first = llm.ask(((n, ask(f"verse {n}", schema="")) for n in range(10)), anything)
        second = llm.ask(((result.key, ask(f"again {result.raw}", schema="")) for result in first), anything)  # type: ignore[union-attr]
        texts = {result.key: result.raw for result in second}  # type: ignore[union-attr]

    assert texts == {n: f"AGAIN VERSE {n}" for n in range(10)}


def test_an_error_in_the_check_is_the_callers_own() -> None:
    def broken(key: int, reply: Reply) -> str:
        raise ZeroDivisionError

    with server() as provider, engine(provider.base_url) as llm, pytest.raises(ZeroDivisionError):
        list(llm.ask(asks(20), broken))


# faults ---------------------------------------------------------------------------------------------------------------

PASSING: list[Any] = [
    Faults(rate_limited=0.2, retry_after=0.0),
    Faults(rate_limited=0.1, retry_after=0.2),
    Faults(server_error=0.2),
    Faults(overloaded=0.2),
    Faults(cut=0.2),
    Faults(cut_midway=0.2),
    Faults(broken_body=0.2),
    Faults(truncated=0.2),
    Faults(wrong_json=0.2),
    Faults(malformed=0.2),
    Faults(empty=0.2),
    Faults(rate_limited=0.03, server_error=0.03, cut=0.03, truncated=0.03, broken_body=0.03, retry_after=0.1),
]


@pytest.mark.parametrize("faults", PASSING, ids=lambda faults: "+".join(name for _, name in faults.ladder()))
def test_no_ask_is_lost_to_passing_faults(faults: Faults) -> None:
    terms = Terms(limits=HttpLimits(seconds=10.0), patience=20.0, first_wait=0.02)
    with server(faults=faults) as provider, engine(provider.base_url, tries=8, terms=terms) as llm:
        results = list(llm.ask(asks(60), READ))
        stats = provider.stats()

    assert sorted(result.key for result in results) == list(range(60))
    assert kinds(results) == {"Accepted": 60}
    assert sum(stats.faults.values()) > 0


def test_a_huge_reply_and_a_dripping_one_are_cut_short() -> None:
    faults = Faults(first=("huge", "drip", "hang"), huge_bytes=2**24, drip_seconds=20.0)
    terms = Terms(limits=HttpLimits(seconds=0.7, max_bytes=100_000))
    with server(faults=faults) as provider, engine(provider.base_url, terms=terms) as llm:
        results = list(llm.ask(asks(5), READ))
        stats = provider.stats()

    assert kinds(results) == {"Accepted": 5}
    assert stats.requests == 5 + 3, "each of the three was given up and asked again"


def test_a_server_that_takes_few_at_a_time_is_sent_few_at_a_time() -> None:
    faults = Faults(capacity=4, retry_after=0.0)
    with server(Settings(latency=0.02), faults) as provider, engine(provider.base_url, concurrency=64) as llm:
        results = list(llm.ask(asks(150), READ))

        assert kinds(results) == {"Accepted": 150}
        assert llm.pace.lowest <= 16


def test_what_never_comes_while_others_do_is_a_failure_with_its_reason() -> None:
    terms = Terms(attempts=3, first_wait=0.02)
    with server(script=fail_on("verse 3.")) as provider, engine(provider.base_url, terms=terms, concurrency=1) as llm:
        results = list(llm.ask(asks(40, schema=""), anything))

    assert kinds(results) == {"Failed": 1, "Accepted": 39}
    (failed,) = [result for result in results if isinstance(result, Failed)]
    assert failed.key == 3
    assert "at last the server failed (status 500" in failed.reason


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (Faults(server_error=1.0), "has only failed for 0.3 s .*status 500"),
        (Faults(rate_limited=1.0, retry_after=0), "has only failed for 0.3 s .*status 429"),
        (Faults(rate_limited=1.0, retry_after=0.05), "has only failed for 0.3 s .*status 429"),
        (Faults(rate_limited=1.0, retry_after=3600), "asks to wait for 3,600 s, .*status 429.* again after"),
        (Faults(overloaded=1.0, retry_after=0), "has only failed for 0.3 s .*status 503"),
        (Faults(cut=1.0), "has only failed for 0.3 s .*the connection was cut"),
    ],
)
def test_an_outage_belongs_to_no_ask(faults: Faults, said: str) -> None:
    terms = Terms(attempts=2, first_wait=0.02, patience=0.3)
    with (
        server(faults=faults) as provider,
        engine(provider.base_url, terms=terms) as llm,
        pytest.raises(ModelError, match=said),
    ):
        pytest.fail(f"an outage was taken for results: {list(llm.ask(asks(4), READ))}")


def test_an_outage_shorter_than_the_patience_fails_nothing() -> None:
    terms = Terms(attempts=2, first_wait=0.02, patience=20.0)
    with server() as provider, engine(provider.base_url, terms=terms, concurrency=4) as llm:

        def away_for_a_while() -> Iterator[tuple[int, Ask]]:
            for key, one in asks(60):
                if key == 20:
                    provider.change(Faults(server_error=0.4, rate_limited=0.3, cut=0.3, retry_after=0))
                    threading.Timer(1.5, provider.change, (Faults(),)).start()
                yield key, one

        results = list(llm.ask(away_for_a_while(), READ))

    assert kinds(results) == {"Accepted": 60}


def test_a_long_wait_is_kept_in_view(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("errorbook.llm.exchange.TOLD_AFTER", 0.05)
    terms = Terms(first_wait=0.02, patience=20.0)
    faults = Faults(first=("rate_limited",), retry_after=0.2)
    with server(faults=faults) as provider, engine(provider.base_url, terms=terms) as llm:
        assert kinds(list(llm.ask(asks(1), READ))) == {"Accepted": 1}

    assert "The server is busy (status 429" in caplog.text
    assert "asked again at" in caplog.text


def test_ctrl_c_while_the_engine_starts_leaves_one_that_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Future[None]):
        def result(self, timeout: float | None = None) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr("errorbook.llm.engine.Future", Interrupted)
    with server() as provider:
        llm = engine(provider.base_url)
        with pytest.raises(KeyboardInterrupt):
            list(llm.ask(asks(3), READ))
        closing = threading.Thread(target=llm.close, daemon=True)
        closing.start()
        closing.join(20)

    assert not closing.is_alive()


def test_a_useless_reply_that_is_forgotten_is_bought_again(tmp_path: Path) -> None:
    store = tmp_path / "calls.sqlite"
    with server(faults=Faults(malformed=1.0)) as provider, engine(provider.base_url, store=store, tries=2) as llm:
        (first,) = llm.ask(asks(1), READ)
        provider.change(Faults())
        (again,) = llm.ask(asks(1), READ)
        llm.forget([again.ask])
        (anew,) = llm.ask(asks(1), READ)

    assert (kinds([first]), kinds([again]), kinds([anew])) == ({"Rejected": 1}, {"Rejected": 1}, {"Accepted": 1})
    assert not anew.usage.cached


def test_a_request_that_is_no_text_fails_alone() -> None:
    with server() as provider, engine(provider.base_url) as llm:
        results = {result.key: result for result in llm.ask([("bad", ask("\ud800")), ("good", ask("x"))], READ)}

    assert isinstance(results["bad"], Failed)
    assert isinstance(results["good"], Accepted)


# the conversation -----------------------------------------------------------------------------------------------------


def test_an_invalid_reply_is_asked_again_with_its_fault_shown() -> None:
    seen: list[Sequence[Turn]] = []

    def answer(turns: Sequence[Turn]) -> str:
        seen.append(turns)
        return '{"line": "Shall I compare", "stress": "five"}' if len(turns) == 1 else '{"line": "thee", "stress": 5}'

    with server(script=answer) as provider, engine(provider.base_url) as llm:
        (result,) = llm.ask([("sonnet", ask("Write."))], READ)

    assert isinstance(result, Accepted)
    assert result.value == Verse(line="thee", stress=5)
    assert result.usage.attempts == 2
    assert [turn.role for turn in seen[1]] == ["user", "assistant", "user"]
    assert "five" in seen[1][1].content
    assert "`$.stress`" in seen[1][2].content


def test_a_reply_that_stays_invalid_is_rejected_with_its_text() -> None:
    with server(Settings(reply="I would rather not.")) as provider, engine(provider.base_url, tries=2) as llm:
        (result,) = llm.ask([("sonnet", ask("Write."))], READ)

        assert provider.stats().requests == 2
    assert isinstance(result, Rejected)
    assert result.raw == "I would rather not."
    assert "no complete JSON object" in result.reason
    assert result.usage.attempts == 2


def test_the_callers_own_rule_is_what_the_model_hears() -> None:
    def even(key: str, reply: Reply) -> Verse:
        verse = READ(key, reply)
        if verse.stress % 2:
            raise InvalidReply("The stress must be even.")
        return verse

    def answer(turns: Sequence[Turn]) -> str:
        return '{"line": "a", "stress": 2}' if "must be even" in turns[-1].content else '{"line": "a", "stress": 1}'

    with server(script=answer) as provider, engine(provider.base_url) as llm:
        (result,) = llm.ask([("sonnet", ask("Write."))], even)

    assert isinstance(result, Accepted)
    assert result.value.stress == 2


def test_a_model_that_was_cut_off_is_told_to_be_brief() -> None:
    seen: list[str] = []

    def answer(turns: Sequence[Turn]) -> str:
        seen.append(turns[-1].content)
        return '{"line": "' + "la " * 200 + '", "stress": 5}'

    with server(script=answer) as provider, engine(provider.base_url, tries=2) as llm:
        (result,) = llm.ask([("sonnet", ask("Write.", max_tokens=20))], READ)

    assert isinstance(result, Rejected)
    assert "cut off at 20 tokens" in seen[1]


# structured output ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [Faults(refuse_schema=True), Faults(refuse_schema=True, refuse_json=True)])
def test_a_server_without_schemas_is_told_them_in_the_prompt_and_probed_once(faults: Faults, tmp_path: Path) -> None:
    def answer(turns: Sequence[Turn]) -> str:
        assert "JSON schema" in turns[0].content
        return 'Gladly:\n```json\n{"line": "a", "stress": 2,}\n```'

    store = tmp_path / "calls.sqlite"
    with server(faults=faults, script=answer) as provider:
        with engine(provider.base_url, store, concurrency=2) as llm:
            assert kinds(list(llm.ask(asks(10), READ))) == {"Accepted": 10}
        refused = provider.stats().statuses[400]
        with engine(provider.base_url, store) as llm:
            assert kinds(list(llm.ask(asks(20), READ))) == {"Accepted": 20}

        assert refused <= 4
        assert provider.stats().statuses[400] == refused


# the store ------------------------------------------------------------------------------------------------------------


def test_a_rerun_costs_nothing_and_says_the_same(tmp_path: Path) -> None:
    store = tmp_path / "calls.sqlite"
    with server(faults=Faults(malformed=0.2)) as provider:
        with engine(provider.base_url, store, tries=9) as llm:
            first = {result.key: result for result in llm.ask(asks(200), READ)}
        requests = provider.stats().requests
        with engine(provider.base_url, store, tries=9) as llm:
            second = {result.key: result for result in llm.ask(asks(200), READ)}

        assert provider.stats().requests == requests
    for key, result in second.items():
        assert result.usage.cached
        assert result.value == first[key].value  # type: ignore[union-attr]
        assert result.usage.cost_usd == first[key].usage.cost_usd
        assert result.usage.attempts == first[key].usage.attempts


def test_a_rerun_needs_neither_server_nor_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "calls.sqlite"
    monkeypatch.setenv("POET_KEY", "sk-poet-123456")
    with server() as provider:
        endpoint = OpenAIChat("poet", base_url=provider.base_url, api_key_env="POET_KEY")
        with Engine(endpoint, store=store) as llm:
            list(llm.ask(asks(5), READ))
    monkeypatch.delenv("POET_KEY")
    with Engine(endpoint, store=store) as llm:
        assert kinds(list(llm.ask(asks(5), READ))) == {"Accepted": 5}


@pytest.mark.parametrize(
    ("changes", "bought"),
    [({}, 0), ({"temperature": 0.5}, 10), ({"sample": 1}, 10), ({"max_tokens": 90}, 10), ({"schema": ""}, 10)],
)
def test_what_differs_in_anything_is_another_request(tmp_path: Path, changes: dict[str, Any], bought: int) -> None:
    with server() as provider, engine(provider.base_url, tmp_path / "calls.sqlite") as llm:
        list(llm.ask(asks(10), anything))
        list(llm.ask(asks(10, **changes), anything))

        assert provider.stats().requests == 10 + bought


def test_one_more_row_costs_one_more_call_and_another_model_buys_everything(tmp_path: Path) -> None:
    store = tmp_path / "calls.sqlite"
    with server() as provider:
        with engine(provider.base_url, store) as llm:
            list(llm.ask(asks(10), READ))
            list(llm.ask(asks(11), READ))
        assert provider.stats().requests == 11
        with Engine(OpenAIChat("rhymer", base_url=provider.base_url), store=store) as llm:
            list(llm.ask(asks(10), READ))
        assert provider.stats().requests == 21


def test_equal_asks_are_bought_once() -> None:
    with server(Settings(latency=0.05)) as provider, engine(provider.base_url) as llm:
        results = list(llm.ask(((key, ask("The same.")) for key in range(30)), READ))

        assert provider.stats().requests == 1
    assert sorted(result.key for result in results) == list(range(30))


def test_several_threads_may_ask_one_engine() -> None:
    counts: list[dict[str, int]] = []
    with server(Settings(latency=0.01)) as provider, engine(provider.base_url) as llm:
        threads = [
            threading.Thread(target=lambda: counts.append(kinds(list(llm.ask(asks(40), READ))))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert provider.stats().requests == 40
    assert counts == [{"Accepted": 40}] * 4


def test_closing_the_results_stops_the_work() -> None:
    with server(Settings(latency=0.3)) as provider, engine(provider.base_url, concurrency=8) as llm:
        results = llm.ask(asks(100), READ)
        next(results)
        results.close()  # type: ignore[attr-defined]
        time.sleep(0.5)
        settled = provider.stats().requests
        time.sleep(0.4)

        assert provider.stats().requests == settled < 30
        assert llm.purse.held.calls == 0
        assert kinds(list(llm.ask(asks(10), READ))) == {"Accepted": 10}


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    path.write_text("This is not a database. " * 100)

    with pytest.raises(LedgerError, match=r"calls\.sqlite cannot be read as a store of calls"):
        engine("http://127.0.0.1:9/v1", path)


# endings --------------------------------------------------------------------------------------------------------------


def nobody() -> str:
    """An address of this machine at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


@pytest.mark.timeout(60)  # 500 calls that wait for somebody to listen would take many minutes
def test_nothing_at_the_address_is_said_at_once() -> None:
    address = nobody()
    with engine(address) as llm, pytest.raises(ModelError, match=f"Nothing answers at {address} .* correct base_url"):
        list(llm.ask(asks(500), READ))


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "localhost/v1", "ftp://host/v1", "http://", ""])
def test_what_is_no_address_is_said_before_anything_is_sent(address: str) -> None:
    with pytest.raises(ModelError, match="give base_url as"):
        OpenAIChat("poet", base_url=address)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ModelError, match="api_key_env") as caught:
        OpenAIChat("poet", base_url="https://me:secret@host/v1")

    assert "secret" not in str(caught.value)


def test_a_wrong_key_is_said_at_once_without_telling_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POET_KEY", "sk-poet-123456")
    with server(Settings(api_key="sk-another")) as provider:
        endpoint = OpenAIChat("poet", base_url=provider.base_url, api_key_env="POET_KEY")
        with Engine(endpoint) as llm, pytest.raises(ModelError, match="does not accept the key") as caught:
            list(llm.ask(asks(500), READ))

        assert "sk-poet" not in str(caught.value)
        assert provider.stats().requests <= 64


def test_an_unknown_model_is_said_at_once() -> None:
    with (
        server(Settings(models=("prose",))) as provider,
        engine(provider.base_url) as llm,
        pytest.raises(ModelError, match=r"does not know the model 'poet' .* correct model"),
    ):
        list(llm.ask(asks(500), READ))


def test_an_endpoint_that_has_died_ends_the_work_after_what_is_done() -> None:
    done: list[Any] = []
    with (
        server() as provider,
        engine(provider.base_url, concurrency=16, terms=Terms(attempts=50, patience=0.5, first_wait=0.02)) as llm,
    ):

        def cut_after(n: int) -> Iterator[tuple[int, Ask]]:
            for key, one in asks(2000):
                if key == n:
                    provider.change(Faults(cut=1.0))
                yield key, one

        results = llm.ask(cut_after(100), READ)
        with pytest.raises(ModelError, match=r"has only failed for 0.5 s .* what is done is kept"):
            done.extend(results)

    assert len(done) >= 60
    assert set(kinds(done)) == {"Accepted"}


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POET_KEY", raising=False)
    endpoint = OpenAIChat("poet", base_url=nobody(), api_key_env="POET_KEY")
    with Engine(endpoint) as llm, pytest.raises(ModelError, match="POET_KEY"):
        list(llm.ask(asks(5), READ))


# keys -----------------------------------------------------------------------------------------------------------------


def test_no_key_is_kept_or_shown_even_if_the_server_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key, other = "sk-poet-abcdef", "token-ghijkl"
    monkeypatch.setenv("POET_KEY", key)
    monkeypatch.setenv("GATE_TOKEN", other)
    caplog.set_level(0)
    store = tmp_path / "calls.sqlite"
    with server(Settings(reply=f"Your keys are {key} and {other}.")) as provider:
        headers = {"X-Gate": "$GATE_TOKEN"}
        endpoint = OpenAIChat("poet", base_url=provider.base_url, api_key_env="POET_KEY", headers=headers)
        with Engine(endpoint, store=store) as llm:
            results = list(llm.ask(asks(3, schema=""), anything))
            shown = repr(llm) + repr(endpoint) + repr(results) + repr(vars(endpoint)) + caplog.text
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert "[key]" in repr(results)
    for secret in (key, other):
        assert secret not in shown
        assert secret.encode() not in kept


def test_what_is_kept_before_sending_is_the_worst_case(tmp_path: Path) -> None:
    store = tmp_path / "calls.sqlite"
    with server(Settings(latency=5.0)) as provider, engine(provider.base_url, store) as llm:

        def until_closed() -> None:
            with pytest.raises(ErrorbookError, match=r"closed|stopped"):
                list(llm.ask(asks(3), READ))

        thread = threading.Thread(target=until_closed, daemon=True)
        thread.start()
        while provider.stats().in_flight < 3:
            time.sleep(0.01)
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as reader:
            rows = reader.execute("SELECT reply, held_tokens FROM calls").fetchall()
        reader.close()
    thread.join(5)

    assert not thread.is_alive()
    assert len(rows) == 3
    assert all(reply is None and held > 100 for reply, held in rows)


def test_a_schema_is_given_by_the_type() -> None:
    assert structured.schema_of(Verse).startswith('{"type":"object"')


def test_servers_are_told_apart_by_address(tmp_path: Path) -> None:
    def count(provider: Server) -> int:
        return provider.stats().requests

    with server() as one, server() as two:
        for provider in (one, two):
            with engine(provider.base_url, tmp_path / "calls.sqlite") as llm:
                list(llm.ask(asks(3), READ))

        assert (count(one), count(two)) == (3, 3)


def test_a_store_that_cannot_be_written_ends_the_work_instead_of_buying_blindly(tmp_path: Path) -> None:
    store = tmp_path / "calls.sqlite"
    with server(Settings(latency=0.02)) as provider, engine(provider.base_url, store, concurrency=4) as llm:
        results = llm.ask(asks(300), READ)
        first = next(results)
        full = "CREATE TRIGGER full BEFORE UPDATE ON calls BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        connection = sqlite3.connect(store, timeout=10)
        connection.execute(full)
        connection.close()
        with pytest.raises(LedgerError, match=r"could not be written \(database or disk is full\); free some disk"):
            list(results)

        assert provider.stats().requests < 100
    assert isinstance(first, Accepted)
