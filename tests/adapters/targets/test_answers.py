"""Answers are remembered by whole request, and whatever happens to their file, a run gets what it would have got."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errorbook.adapters.scorers.numeric import Numeric
from errorbook.adapters.targets.answer_cache import AnswerFile
from errorbook.adapters.targets.remembered import Remembering, remember_answers
from errorbook.adapters.targets.scripted import ScriptedTarget
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.tasks.arithmetic import Arithmetic
from errorbook.errors import ModelError
from errorbook.evaluate import BLOCK, Recorded, evaluate, identify
from errorbook.interfaces import Applies, BlockTarget, Likelihood, Paced, Target
from errorbook.records import Checkpoint, Completion, Generation, Response, digest

SETTINGS = Generation(max_new_tokens=8)
PROMPTS = ("1 + 1", "2 + 2", "3 + 3")
BASE = Checkpoint(base="echo", base_fingerprint="f")


class Echo:
    """A target whose texts depend on everything that they may depend on, also on what else is in the batch."""

    def __init__(self, fingerprint: str = "weights, template and engine") -> None:
        self.fingerprint = fingerprint
        self.base = "echo"
        self.requests: list[tuple[str, ...]] = []
        self.uses: list[Checkpoint] = []

    def use(self, checkpoint: Checkpoint, root: Path) -> None:
        if checkpoint.folder and not (root / checkpoint.folder).is_dir():
            raise ModelError("The weights are missing.")
        self.uses.append(checkpoint)

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        self.requests.append(tuple(prompts))
        yield from self._completions(prompts, settings)

    def _completions(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        answering = self.uses[-1].hash if self.uses else "base"
        for index in reversed(range(len(prompts))):
            text = digest(self.fingerprint, answering, str(settings), *prompts, prompts[index])
            yield Completion(index=index, text=text, tokens=3, truncated=index == 1, prompt_hash=digest(prompts[index]))

    def embed(self, texts: Sequence[str]):  # type: ignore[no-untyped-def]
        return ScriptedTarget().embed(texts)

    def close(self) -> None:
        self.requests.append(("closed",))


class Weigher(Echo):
    def log_likelihoods(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, Sequence[float]]]:
        self.requests.append(tuple(prompts))
        for index, group in enumerate(options):
            yield index, [-int(digest(prompts[index], option)[:6], 16) / 7 for option in group]


class Spreader(Echo):
    def generate_blocks(
        self, blocks: Sequence[Sequence[str]], settings: Generation
    ) -> Iterator[tuple[int, Sequence[Completion]]]:
        for number in reversed(range(len(blocks))):
            self.requests.append(tuple(blocks[number]))
            yield number, list(self._completions(blocks[number], settings))


class Both(Weigher, Spreader):
    block_size = 7
    forms = ("served",)


def answers(folder: Path, **options: int) -> AnswerFile:
    return AnswerFile(folder / "answers.sqlite", note=pytest.fail, **options)


def trained(weights: str = "w", scale: float = 1.0) -> Checkpoint:
    return Checkpoint(
        base="echo", base_fingerprint="f", method="lora", form="adapter", weights_hash=weights, scale=scale
    )


class TestRequests:
    def test_an_equal_request_is_answered_equally_without_asking(self, tmp_path: Path) -> None:
        first, second = Echo(), Echo()
        asked = list(Remembering(first, answers(tmp_path)).generate(PROMPTS, SETTINGS))
        remembered = list(Remembering(second, answers(tmp_path)).generate(PROMPTS, SETTINGS))

        assert remembered == asked == list(Echo().generate(PROMPTS, SETTINGS))
        assert (first.requests, second.requests) == ([PROMPTS], [])

    @pytest.mark.parametrize(
        "changed",
        [
            {"target": Echo("other template")},
            {"options": {"batch_size": 2}},
            {"checkpoint": trained("v")},
            {"checkpoint": trained(scale=0.5)},
            {"checkpoint": BASE},
            {"settings": Generation(max_new_tokens=9)},
            {"settings": Generation(max_new_tokens=8, temperature=0.5)},
            {"settings": Generation(max_new_tokens=8, seed=1)},
            {"prompts": PROMPTS[:2]},
            {"prompts": PROMPTS[::-1]},
            {"prompts": ("1 + 12 + 2", "3 + 3")},
            {"prompts": ("1 + 1", "2 + 2", "3 + 4")},
        ],
        ids=lambda changed: next(iter(changed)),
    )
    def test_a_request_that_differs_in_anything_is_asked(self, tmp_path: Path, changed: Mapping[str, object]) -> None:
        def ask(
            target: Echo,
            options: Mapping[str, object] | None = None,
            checkpoint: Checkpoint = trained(),  # noqa: B008 - a constant
            settings: Generation = SETTINGS,
            prompts: Sequence[str] = PROMPTS,
        ) -> list[Completion]:
            remembered = Remembering(target, answers(tmp_path), options)
            remembered.use(checkpoint, tmp_path)
            return list(remembered.generate(prompts, settings))

        ask(Echo())
        target = changed.get("target", Echo())
        assert isinstance(target, Echo)
        found = ask(target, **{name: value for name, value in changed.items() if name != "target"})  # type: ignore[arg-type]

        assert len(target.requests) == 1
        assert found == list(target.generate(*(target.requests[0], changed.get("settings", SETTINGS))))  # type: ignore[arg-type]

    @given(st.lists(st.lists(st.sampled_from("abcd"), max_size=3), max_size=8))
    @settings(max_examples=25, deadline=None)
    def test_whatever_is_asked_the_answers_are_the_targets_own(self, requests: list[list[str]]) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            target = Both()
            remembered = Remembering(target, answers(Path(folder)))
            for prompts in requests:
                assert list(remembered.generate(prompts, SETTINGS)) == list(Both().generate(prompts, SETTINGS))
            blocks = dict(remembered.generate_blocks(requests, SETTINGS))
        assert blocks == {n: list(Both().generate(prompts, SETTINGS)) for n, prompts in enumerate(requests)}
        assert len(target.requests) == len(set(target.requests))

    def test_a_request_that_was_not_finished_is_not_remembered(self, tmp_path: Path) -> None:
        target = Echo()
        remembered = Remembering(target, answers(tmp_path))
        next(remembered.generate(PROMPTS, SETTINGS))
        assert list(remembered.generate(PROMPTS, SETTINGS)) == list(Echo().generate(PROMPTS, SETTINGS))
        assert target.requests == [PROMPTS, PROMPTS]

    def test_a_checkpoint_whose_weights_have_no_hash_is_never_remembered(self, tmp_path: Path) -> None:
        target = Echo()
        remembered = Remembering(target, answers(tmp_path))
        remembered.use(trained(weights=""), tmp_path)
        for _ in range(2):
            list(remembered.generate(PROMPTS, SETTINGS))
        assert target.requests == [PROMPTS, PROMPTS]

    def test_an_evaluation_that_was_stopped_ends_as_the_undisturbed_one(self, tmp_path: Path) -> None:
        task = Arithmetic()
        examples = task.examples("train", 2 * BLOCK + 20, seed=0)

        def evaluated(target: Target, answered: Sequence[str] = (), stop: int = 9) -> dict[str, Response]:
            evaluation = identify(target, "base", task, "train", examples)
            found: dict[str, Response] = {}
            for number, block in enumerate(
                evaluate(target, task, Numeric(), evaluation, examples, Recorded(answered)), 1
            ):
                found |= {response.example: response for response in block}
                if number == stop:
                    break
            return found

        undisturbed = evaluated(Echo())
        stopped = evaluated(Remembering(Echo(), answers(tmp_path)), stop=2)
        again = Echo()
        kept = sorted(stopped)[::2]  # as if half of what was answered had not reached the ledger
        resumed = evaluated(Remembering(again, answers(tmp_path)), kept)

        assert {**resumed, **{key: stopped[key] for key in kept}} == undisturbed
        assert [len(request) for request in again.requests] == [20]


class TestTargets:
    @pytest.mark.parametrize(
        "target", [Echo(), Weigher(), Spreader(), Both()], ids=lambda target: type(target).__name__
    )
    def test_it_implements_what_the_target_behind_it_does(self, target: Target, tmp_path: Path) -> None:
        remembered = Remembering(target, answers(tmp_path))
        for protocol in (Likelihood, BlockTarget, Paced, Applies):
            assert isinstance(remembered, protocol) == isinstance(target, protocol)
        for name in ("block_size", "forms"):
            assert getattr(remembered, name, None) == getattr(target, name, None)
        assert (remembered.base, remembered.fingerprint) == (target.base, target.fingerprint)

    def test_likelihoods_are_remembered_by_prompts_and_options(self, tmp_path: Path) -> None:
        options = [["A", "B"], ["A", "B", "C"], ["A"]]
        target = Weigher()
        first, again, other = (
            list(Remembering(target, answers(tmp_path)).log_likelihoods(PROMPTS, group))
            for group in (options, options, [*options[:2], ["B"]])
        )
        assert [(index, list(weights)) for index, weights in again] == first
        assert first != other
        assert len(target.requests) == 2

    def test_a_block_is_what_generate_calls_a_request(self, tmp_path: Path) -> None:
        blocks = [PROMPTS, ("4 + 4",), ("5 + 5", "6 + 6")]
        list(Remembering(Echo(), answers(tmp_path)).generate(PROMPTS, SETTINGS))
        target = Spreader()
        found = dict(Remembering(target, answers(tmp_path)).generate_blocks(blocks, SETTINGS))

        assert found == {n: list(Echo().generate(block, SETTINGS)) for n, block in enumerate(blocks)}
        assert target.requests == [blocks[2], blocks[1]]
        alone = Echo()
        assert list(Remembering(alone, answers(tmp_path)).generate(blocks[2], SETTINGS)) == found[2]
        assert not alone.requests

    def test_the_target_hears_of_a_checkpoint_when_it_is_asked(self, tmp_path: Path) -> None:
        target = Echo()
        remembered = Remembering(target, answers(tmp_path))
        remembered.use(BASE, tmp_path)
        list(remembered.generate(PROMPTS, SETTINGS))
        remembered.use(trained(), tmp_path)
        remembered.use(BASE, tmp_path)
        list(remembered.generate(PROMPTS, SETTINGS))
        assert target.uses == [BASE]
        remembered.use(trained(), tmp_path)
        assert remembered.uncached is target
        assert target.uses == [BASE, trained()]
        remembered.use(BASE, tmp_path)
        assert remembered.embed(["a"]).shape[0] == 1
        assert target.uses == [BASE, trained(), BASE]

    def test_missing_weights_are_an_error_when_they_are_needed(self, tmp_path: Path) -> None:
        remembered = Remembering(Echo(), answers(tmp_path))
        remembered.use(
            Checkpoint(base="echo", base_fingerprint="f", method="lora", form="adapter", folder="x"), tmp_path
        )
        for _ in range(2):
            with pytest.raises(ModelError, match="missing"):
                list(remembered.generate(PROMPTS, SETTINGS))

    def test_remembered_answers_load_no_model(self, tiny_model: Path, tmp_path: Path) -> None:
        def target() -> TransformersTarget:
            return TransformersTarget(str(tiny_model), device="cpu", dtype="float32")

        asked = list(Remembering(target(), answers(tmp_path)).generate(PROMPTS, SETTINGS))
        again = target()
        started = Remembering(again, answers(tmp_path))
        started.use(BASE, tmp_path)

        assert list(started.generate(PROMPTS, SETTINGS)) == asked
        assert again._model is None

    def test_the_cache_is_in_the_users_folder_and_can_be_turned_off(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ERRORBOOK_CACHE", str(tmp_path))
        monkeypatch.delenv("ERRORBOOK_NO_CACHE", raising=False)
        list(remember_answers(Echo(), {}).generate(PROMPTS, SETTINGS))
        assert [path.name for path in tmp_path.iterdir()] == ["answers-1.sqlite"]
        again, off = Echo(), Echo()
        list(remember_answers(again, {}).generate(PROMPTS, SETTINGS))
        monkeypatch.setenv("ERRORBOOK_NO_CACHE", "1")
        assert remember_answers(off, {}) is off
        assert not again.requests


class TestFile:
    def test_what_was_kept_is_found(self, tmp_path: Path) -> None:
        kept = answers(tmp_path)
        assert kept.find("a") is None
        kept.keep("a", b"one")
        kept.keep("b", b"two")
        kept.keep("a", b"three")
        assert [answers(tmp_path).find(key) for key in "abc"] == [b"three", b"two", None]

    def test_the_oldest_make_room_and_the_file_stays_below_its_limit(self, tmp_path: Path) -> None:
        kept = answers(tmp_path, limit=300_000)
        for number in range(100):
            kept.keep(str(number), os.urandom(10_000))
        assert kept.path.stat().st_size < 330_000
        there = [number for number in range(100) if kept.find(str(number))]
        assert there == list(range(there[0], 100))
        assert 18 <= len(there) <= 29

    @pytest.mark.parametrize("damage", ["garbage", "cut", "overwritten"])
    def test_a_damaged_file_is_set_aside_and_begun_anew(self, tmp_path: Path, damage: str) -> None:
        told: list[str] = []
        kept = AnswerFile(tmp_path / "answers.sqlite", note=told.append)
        written = {str(number): os.urandom(9_000) for number in range(50)}
        for key, body in written.items():
            kept.keep(key, body)
        data = kept.path.read_bytes()
        harm = {
            "garbage": b"no database at all" * 1000,
            "cut": data[: len(data) // 3],
            "overwritten": data[:5000] + b"\xff" * (len(data) - 5000),
        }
        kept.path.write_bytes(harm[damage])
        for key, body in written.items():
            assert kept.find(key) in (None, body)
        kept.keep("new", b"answer")

        assert kept.find("new") == b"answer"
        assert "was damaged" in told[0]
        assert "answers.sqlite.damaged, and answers are collected anew" in told[0]
        assert len(told) == 1
        assert (tmp_path / "answers.sqlite.damaged").is_file()

    def test_an_entry_that_is_not_what_was_written_is_no_answer(self, tmp_path: Path) -> None:
        target = Echo()
        asked = list(Remembering(target, answers(tmp_path)).generate(PROMPTS, SETTINGS))
        with sqlite3.connect(tmp_path / "answers.sqlite") as sql:
            sql.execute("UPDATE answers SET body = replace(body, 'tokens\":3', 'tokens\":4')")
        sql.close()
        assert list(Remembering(target, answers(tmp_path)).generate(PROMPTS, SETTINGS)) == asked
        assert len(target.requests) == 2

    @pytest.mark.parametrize("body", [b"[]", b"{", b'[{"index":0}]'])
    def test_an_entry_that_answers_something_else_is_no_answer(self, tmp_path: Path, body: bytes) -> None:
        class Wrong(AnswerFile):
            def find(self, key: str) -> bytes | None:
                return body

        remembered = Remembering(Echo(), Wrong(tmp_path / "a.sqlite"))
        assert list(remembered.generate(PROMPTS, SETTINGS)) == list(Echo().generate(PROMPTS, SETTINGS))

    def test_a_file_that_cannot_be_used_is_done_without_and_said_once(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        told: list[str] = []
        target = Echo()
        remembered = Remembering(target, AnswerFile(tmp_path / "file" / "answers.sqlite", note=told.append))
        for _ in range(3):
            assert list(remembered.generate(PROMPTS, SETTINGS)) == list(Echo().generate(PROMPTS, SETTINGS))
        assert len(target.requests) == 3
        assert len(told) == 1
        assert told[0].startswith("Answers are not remembered: ")

    def test_two_processes_use_one_file_and_a_kill_leaves_it_whole(self, tmp_path: Path) -> None:
        writing = """
import sys
from pathlib import Path
from errorbook.adapters.targets.answer_cache import AnswerFile

answers = AnswerFile(Path(sys.argv[1]), note=sys.exit)
for number in range(int(sys.argv[3])):
    answers.keep(f"{sys.argv[2]}{number}", f"{sys.argv[2]}{number}".encode() * 3000)
    assert answers.find(f"{sys.argv[2]}{number}")
print("done")
"""
        file = tmp_path / "answers.sqlite"
        command = [sys.executable, "-c", writing, str(file)]
        endless = subprocess.Popen([*command, "k", "1000000"])
        both = [subprocess.Popen([*command, name, "60"], stdout=subprocess.PIPE, text=True) for name in "ab"]
        while answers(tmp_path).find("k9") is None:
            assert endless.poll() is None  # else nothing would ever be kept
            time.sleep(0.02)
        endless.send_signal(signal.SIGKILL)
        endless.wait()

        assert [process.communicate(timeout=60)[0] for process in both] == ["done\n", "done\n"]
        kept = answers(tmp_path)
        for name in (f"{name}{number}" for name in "ab" for number in range(60)):
            assert kept.find(name) == name.encode() * 3000
        assert kept.find("k9") == b"k9" * 3000
