"""A real server in the loop: llama.cpp's serves our exported GGUF file, as target, as instructor and as its reader.

One server process for all of these tests. The embedded model is a weak instructor: what counts is that its replies
parse, and that checks judge its drafts.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from teacher_kit import example, mistake

from benchmarks import served_gguf
from benchmarks.llama_server import KEY, MISSING, is_installed, serving
from errorbook.adapters.instructors import replies
from errorbook.adapters.instructors.endpoint import EndpointInstructor, openai
from errorbook.adapters.scorers.numeric import Numeric
from errorbook.adapters.targets import loading
from errorbook.adapters.targets.conversation import render
from errorbook.adapters.targets.embedded import resolve
from errorbook.adapters.targets.openai import OpenAITarget
from errorbook.adapters.tasks.arithmetic import Arithmetic
from errorbook.checks.taken import Protected, Taken
from errorbook.cli.main import run_command
from errorbook.errors import ConfigError, ModelError
from errorbook.records import Assignment, Diagnosis, Generation, Rejection, Sample
from errorbook.verify import verify

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not is_installed(), reason=MISSING)]

NAME, SECRET = "exported", "sk-of-the-real-server"
SHORT = Generation(max_new_tokens=4)
SUM = msgspec.structs.replace(example("What is 17 + 25?", "42"), task="arithmetic")
WRONG = mistake(SUM, "17 + 25 = 32\nAnswer: 32")
ODD = [
    "How much is 1234567 - 89?",
    "  Two spaces,\n\n\ttab; naïve café – “quotes” 日本語 🙂 12x3y.",
    "don't I'LL we've <|im_start|> end</s>",
]


class Place(NamedTuple):
    """Where the server is, and its log."""

    url: str
    log: Path

    def post(self, path: str, value: dict[str, Any]) -> dict[str, Any]:
        """The answer of a llama.cpp route that OpenAI has not."""
        asked = urllib.request.Request(
            self.url.removesuffix("/v1") + path,
            json.dumps(value).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {SECRET}"},
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("served")
    file = served_gguf.export(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY, SECRET)
        with serving(file, folder / "server.log", served_gguf.SLOTS, NAME) as url:
            yield Place(url, folder / "server.log")


def target(place: Place, **options: Any) -> OpenAITarget:
    given = {"base_url": place.url, "api_key_env": KEY, "concurrency": served_gguf.SLOTS, **options}
    return OpenAITarget(NAME, **given)


def test_the_file_loads_without_a_warning(place: Place) -> None:
    started = place.log.read_text(encoding="utf-8").partition("listening on")[0]

    assert "model loaded" in started
    assert not re.findall(r"^[\d.]+ [WE] .*", started, re.M)


def test_the_server_writes_and_cuts_prompts_as_the_run_does(place: Place) -> None:
    tokenizer = loading.load_tokenizer(resolve(served_gguf.MODEL))

    for text in ODD:
        asked = place.post("/apply-template", {"messages": [{"role": "user", "content": text}]})["prompt"]
        assert asked == render(tokenizer, text)
        cut = place.post("/tokenize", {"content": asked, "add_special": True, "parse_special": True})
        assert cut["tokens"] == loading.prompt_ids(tokenizer, asked)


def test_answers_are_those_of_transformers_but_for_near_ties(place: Place) -> None:
    prompts = served_gguf.questions(50)
    asked = target(place)
    served = served_gguf.answers(asked, prompts, tokens=24)
    asked.close()

    own = served_gguf.answers(served_gguf.engine("transformers:float32"), prompts, tokens=24)

    partings = served_gguf.find_partings(prompts, own, served)
    assert len(partings) <= 5
    assert all(abs(parting.gap) < 0.1 for parting in partings)


RUN_FILE = """
[run]
name = "real"

[target]
engine = "openai"
model = "{model}"
base_url = "{url}"
api_key_env = "{key}"
concurrency = 2

[strategy]
retriever = "tfidf"

[train]
method = "external"

[[tasks]]
name = "arithmetic"
train = 3
dev = 2
test = 2
"""


def test_an_exam_is_held_at_the_server(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder = tmp_path / "real.toml", tmp_path / "exam"
    file.write_text(RUN_FILE.format(model=NAME, url=place.url, key=KEY), encoding="utf-8")

    assert run_command(["exam", str(file), "--out", str(folder), "--json"]) == 0

    said = capsys.readouterr().out
    assert SECRET not in said
    assert json.loads(said)["tasks"]["arithmetic"]["dev"]["base"]["n"] == 2


def test_an_answer_in_pieces_is_the_same(place: Place) -> None:
    plain, streamed = (
        next(iter(target(place, **options).generate([SUM.question], SHORT))) for options in ({}, {"stream": True})
    )

    assert plain == streamed
    assert (plain.tokens, plain.truncated) == (4, True)


def test_what_the_server_refuses_is_said_in_its_own_words(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"exceeds the available context size \(4096 tokens\)"):
        list(target(place).generate(["word " * 5000], SHORT))
    with pytest.raises(ConfigError, match=r"--embeddings`\); set retriever = 'tfidf'"):
        target(place).embed(["a"])
    monkeypatch.setenv("OTHER_KEY", "sk-not-the-right-one")
    with pytest.raises(ModelError, match="does not accept the key; set api_key_env") as refused:
        list(target(place, api_key_env="OTHER_KEY").generate([SUM.question], SHORT))
    assert "sk-not" not in str(refused.value)


# As instructor. Without a penalty this model repeats one phrase until its cap.


def instructor(place: Place) -> EndpointInstructor:
    return openai(
        model=NAME,
        base_url=place.url,
        api_key_env=KEY,
        concurrency=1,
        temperature=0.0,
        max_tokens=200,
        sampling={"repeat_penalty": 1.3, "repeat_last_n": 256},
    )


def said(call: Any) -> list[str]:
    """Every reply of a conversation: those that were sent back stand in the transcript."""
    return [*re.findall(r"\n\n\[assistant\]\n(.*?)\n\n\[user\]\n", call.prompt, re.S), call.reply]


def is_whole(reply: str, kind: type[replies.Reply]) -> bool:
    """Whether a reply is of the form; one that the cap has cut off is the beginning of such a reply."""
    try:
        msgspec.json.decode(reply, type=kind)
    except msgspec.DecodeError as error:
        if "truncated" not in str(error):
            raise
        return False
    return True


def test_every_reply_under_a_schema_parses(place: Place) -> None:
    [(_, found, call)] = instructor(place).diagnose([WRONG])

    assert any(is_whole(reply, replies.Analysis) for reply in said(call))
    assert isinstance(found, Diagnosis) or found.cause == "unread"


def test_its_drafts_are_judged_by_the_checks(place: Place) -> None:
    behind = Diagnosis(
        response=WRONG.response.hash,
        example=SUM.id,
        task="arithmetic",
        strategy="plain",
        error_kind="dropped carry",
        misconception="The carried ten is dropped.",
        skill="carrying",
    )
    [(_, drafts, call)] = instructor(place).write(
        [Assignment(task="arithmetic", index=0, count=1, mistake=WRONG, diagnosis=behind)]
    )

    whole = [is_whole(reply, replies.WorkedDrafts) for reply in said(call)]
    assert all(whole) or "cut off at 200 tokens" in f"{drafts}{call.prompt}"
    if isinstance(drafts, tuple | list):
        judged = list(
            verify(drafts, {"arithmetic": (Arithmetic(), Numeric())}, Taken(0.8, ()), Protected((), (SUM,), 8))
        )
        assert len(judged) == len(drafts)
        assert all(isinstance(one, Sample | Rejection) for one in judged)
