import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import msgspec
import pytest

from errorbook.errors import LedgerError
from errorbook.ledger.counts import Letters
from errorbook.ledger.file import Entry, Ledger, open_ledger
from errorbook.records import Call, Evaluation, Failure, Generation, Response, Sample, Score

EVALUATION = Evaluation(
    checkpoint="c",
    task="t",
    split="dev",
    target="f",
    examples="e",
    n=3,
    generation=Generation(max_new_tokens=8),
    scorer="numeric",
)


def sample(number: int) -> Sample:
    return Sample(draft=f"d{number}", task="t", question=f"q{number}", answer="1", solution="s")


def response(number: int, verdict: str = "right") -> Response:
    return Response(
        evaluation=EVALUATION.hash,
        example=f"x{number}",
        task="t",
        split="dev",
        prompt_hash="p",
        text="text\n\N{SNOWMAN}",
        tokens=5,
        truncated=False,
        score=Score(verdict=verdict, extracted="1", method="marker"),  # type: ignore[arg-type]
    )


def test_records_come_back_as_they_went_in(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        ledger.extend([Entry(sample(n), f"k{n}", "parent") for n in range(3)], cycle=1)
        ledger.append(sample(9), key="k9", cycle=2)
        assert ledger.find(Sample, "k1") == sample(1)
        assert ledger.get(Sample, sample(2).hash) == sample(2)
        assert ledger.find(Sample, "nothing") is None
        assert [item.draft for item in ledger.all(Sample, cycle=1)] == ["d0", "d1", "d2"]
        assert [item.draft for item in ledger.all(Sample, parent="parent")] == ["d0", "d1", "d2"]
        assert ledger.keys(Sample) == {"k0", "k1", "k2", "k9"}
        assert ledger.count(Sample) == 4
        assert ledger.count(Failure) == 0


def test_a_known_key_is_left_as_it_is(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        ledger.append(sample(1), key="k")
        before = ledger.digest()
        ledger.append(sample(2), key="k")
        assert ledger.find(Sample, "k") == sample(1)
        assert ledger.digest() == before


def test_responses_are_counted_and_resumed(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        ledger.open_evaluation(EVALUATION)
        ledger.append_responses([response(1), response(2, "unscorable")])
        ledger.append_responses([response(2, "wrong"), response(3, "wrong")])
        assert ledger.answered(EVALUATION) == {"x1", "x2", "x3"}
        assert ledger.verdicts(EVALUATION) == {"x1": "right", "x2": "unscorable", "x3": "wrong"}
        tally = ledger.tally(EVALUATION)
        assert (tally.n, tally.right, tally.wrong, tally.unscorable, tally.tokens) == (3, 1, 1, 1, 15)
        assert list(ledger.responses(EVALUATION, "wrong")) == [response(3, "wrong")]
        assert ledger.response(response(1).hash) == response(1)


def test_one_writer_and_many_readers(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        ledger.append(sample(1), key="k")
        with open_ledger(tmp_path) as reader:
            assert reader.find(Sample, "k") == sample(1)
        script = f"from errorbook.ledger.file import open_ledger\nwith open_ledger({str(tmp_path)!r}, 'write'): pass"
        second = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert "Another process is writing" in second.stderr


def test_facts_are_stated_once(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        ledger.state("config", "a")
        ledger.state("config", "a")
        with pytest.raises(LedgerError, match="another config"):
            ledger.state("config", "b")


def test_what_is_not_a_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="There is no ledger"), open_ledger(tmp_path):
        pass
    (tmp_path / "ledger.sqlite").write_text("I am a shopping list, and a long one at that." * 50)
    with pytest.raises(LedgerError, match="not a ledger"), open_ledger(tmp_path):
        pass
    with pytest.raises(LedgerError, match="not a ledger"), open_ledger(tmp_path, "write"):
        pass


def test_a_response_is_filed_under_its_own_hash(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        ledger.open_evaluation(EVALUATION)
        ledger.append_responses([response(1)])
        assert ledger.response(response(1).hash) == response(1)
        again = msgspec.structs.replace(EVALUATION, checkpoint="later")
        ledger.open_evaluation(again)
        later = [
            msgspec.structs.replace(response(number, verdict), evaluation=again.hash)
            for number, verdict in ((1, "wrong"), (3, "right"))
        ]
        ledger.append_responses([response(3, "unscorable"), *later])
        letters = Letters(ledger)
        assert letters.changed(EVALUATION, EVALUATION, "fixed") == ()
        assert letters.changed(EVALUATION, again, "fixed") == ("x3",)
        assert letters.changed(EVALUATION, again, "broken") == ("x1",)


def test_questions_that_were_put_in_other_words_are_counted(tmp_path: Path) -> None:
    again = msgspec.structs.replace(EVALUATION, checkpoint="later")
    with open_ledger(tmp_path, "write") as ledger:
        for evaluation, hashes in ((EVALUATION, "ppp"), (again, "pqp")):
            ledger.open_evaluation(evaluation)
            answers = [
                msgspec.structs.replace(response(number), prompt_hash=hash) for number, hash in enumerate(hashes)
            ]
            ledger.append_responses([msgspec.structs.replace(one, evaluation=evaluation.hash) for one in answers])
        assert ledger.reworded(EVALUATION, again) == 1
        assert ledger.reworded(EVALUATION, EVALUATION) == 0


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        ledger.append(sample(0), key="k0")
        _limit_pages(ledger)
        many = [Entry(sample(number), f"k{number}") for number in range(1, 2000)]
        with pytest.raises(LedgerError, match=r"disk that holds .* is full; free some space"):
            ledger.extend(many)
    with open_ledger(tmp_path) as ledger:
        assert ledger.find(Sample, "k0") == sample(0)


def _limit_pages(ledger: Ledger) -> None:
    """SQLite's own way to a full disk: no more pages than there are."""
    pages = ledger._sql.execute("PRAGMA page_count").fetchone()[0]
    ledger._sql.execute(f"PRAGMA max_page_count = {pages + 2}")


def test_committed_rows_survive_sigkill(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        from errorbook.ledger.file import open_ledger, Entry
        from errorbook.records import Sample
        with open_ledger({str(tmp_path)!r}, "write") as ledger:
            for n in range(100000):
                pair = [f"{{n}}{{side}}" for side in "ab"]
                drafts = [Sample(draft=name, task="t", question="q", answer="1", solution="s") for name in pair]
                ledger.extend([Entry(item, item.draft) for item in drafts])
                print(n, flush=True)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(25)]
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.stdout.close()
    process.wait()
    with open_ledger(tmp_path, "write") as ledger:
        keys = ledger.keys(Sample)
    assert {f"{int(n)}a" for n in told} <= keys
    assert len([key for key in keys if key.endswith("a")]) == len([key for key in keys if key.endswith("b")])


def test_costs_add_up(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        for number in range(3):
            call = Call(instructor="i", purpose="write", subject=str(number), cost_usd=0.25)
            ledger.append(call, key=str(number))
        assert ledger.total_cost() == pytest.approx(0.75)
