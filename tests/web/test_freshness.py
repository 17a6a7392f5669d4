"""The rule of freshness: who makes a value, when it is made again, and what a page gets meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from server_kit import wait_for

from errorbook.errors import LedgerError
from errorbook.web.freshness import Kept, Renewal


@pytest.fixture
def renewal() -> Iterator[Renewal]:
    made = Renewal()
    yield made
    made.stop()


def test_a_value_that_is_costly_to_make_is_made_rarely_and_in_the_background(renewal: Renewal) -> None:
    now, made = [1], list[int]()

    def make() -> int:
        assert threading.current_thread().name == "errorbook-renewal"
        time.sleep(0.1)
        made.append(now[0])
        return now[0]

    kept = Kept(make, lambda: now[0])
    assert renewal.get(kept) == 1
    assert kept.behind() == kept.shown() == 0
    for number in range(2, 40):
        now[0] = number
        assert renewal.get(kept) == 1
        assert kept.behind() > 0
        assert kept.shown() == 1
    assert not kept.is_due()
    time.sleep(0.6)
    assert kept.is_due()
    assert made == [1]  # nobody asked
    assert renewal.get(kept) == 1
    wait_for(lambda: renewal.get(kept) == 39)
    assert made == [1, 39]


def test_a_value_that_is_cheap_to_make_is_made_by_who_asks_and_never_old(renewal: Renewal) -> None:
    now, makers = [1], list[str]()

    def make() -> int:
        makers.append(threading.current_thread().name)
        return now[0]

    kept = Kept(make, lambda: now[0])
    for number in (1, 1, 2, 3):
        now[0] = number
        assert renewal.get(kept) == number
        assert kept.behind() == 0
    here = threading.current_thread().name
    assert makers == ["errorbook-renewal", here, here]


def test_a_value_that_is_not_whole_is_gone_on_with_at_once_and_then_only_takes_in_what_is_new(renewal: Renewal) -> None:
    now, left, makers = [1], [3], list[str]()

    def make() -> str | None:
        makers.append(threading.current_thread().name)
        time.sleep(0.1)
        left[0] -= 1
        return None if left[0] else "whole"

    kept = Kept(make, lambda: now[0], grows=True)
    assert renewal.get(kept, 0.0) is None
    wait_for(lambda: kept.value == "whole", 2)
    now[0], left[0] = 2, 1
    assert renewal.get(kept, 0.0) == "whole"
    here = threading.current_thread().name
    assert makers == ["errorbook-renewal"] * 3 + [here]
    now[0], left[0] = 3, 2  # more than one step
    renewal.get(kept, 0.0)
    wait_for(lambda: kept.value == "whole", 2)
    assert makers[4:] == [here, "errorbook-renewal"]


def test_what_is_being_made_is_made_once_and_may_fail(renewal: Renewal) -> None:
    gate, made = threading.Event(), list[int]()

    def slow() -> str:
        made.append(1)
        gate.wait(10)
        return "done"

    def failing() -> str:
        raise LedgerError("It is gone.")

    kept = Kept(slow, lambda: 1)
    assert renewal.get(kept, 0.01) is None
    assert renewal.get(kept, 0.01) is None
    gate.set()
    assert renewal.get(kept, 10) == "done"
    assert made == [1]
    with pytest.raises(LedgerError, match="It is gone"):
        renewal.get(Kept(failing, lambda: 1), 10)
    assert renewal.get(Kept(slow, lambda: 1), 10) == "done"


def test_a_fault_in_one_value_is_logged_and_leaves_the_thread_at_work(
    renewal: Renewal, caplog: pytest.LogCaptureFixture
) -> None:
    broken: Kept[int] = Kept(lambda: 1 // 0, lambda: 1)
    with pytest.raises(ZeroDivisionError):
        renewal.get(broken, 10)

    assert "could not be kept fresh" in caplog.text
    assert renewal.get(Kept(lambda: 2, lambda: 1), 10) == 2


def test_a_ledger_that_goes_away_before_all_of_it_is_read_leaves_the_thread_at_work(renewal: Renewal) -> None:
    asked = list[int]()

    def version() -> int:
        asked.append(1)
        if len(asked) > 2:
            raise LedgerError("It is gone.")
        return 1

    unfinished: Kept[int] = Kept(lambda: None, version, grows=True)
    assert renewal.get(unfinished, 10) is None

    assert renewal.get(Kept(lambda: 2, lambda: 1), 10) == 2
