"""Targets behind a server: the `openai` engine against the test server, the `vllm` engine against a stand-in process.

Everything goes over real sockets and real processes. vLLM itself is not there: `stand_in_vllm.py` speaks its API.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import KITS

from errorbook.adapters.targets import canary, loading
from errorbook.adapters.targets.embedded import quiet_transformers
from errorbook.adapters.targets.openai import OpenAITarget
from errorbook.adapters.targets.served import FAILURES_AT_MOST, Api, Chat
from errorbook.adapters.targets.serving import ServedCommand, free_port
from errorbook.adapters.targets.vllm import VLLMTarget, scale_adapter
from errorbook.errors import ConfigError, ModelError
from errorbook.interfaces import BlockTarget, Likelihood, Remembers, Target
from errorbook.llm.endpoint import Dialect
from errorbook.llm.http import ServerAnswer
from errorbook.records import Checkpoint, Completion, Form, Generation, digest
from errorbook.testing import Faults, Settings, Turn, server

GREEDY = Generation(max_new_tokens=64)
PROMPTS = [f"What is {number} + {number}?" for number in range(12)]


def echo(turns: Sequence[Turn]) -> str:
    return f"You said: {turns[-1].content}"


def texts(completions: Sequence[Completion] | Iterator[Completion]) -> list[str]:
    return [completion.text for completion in sorted(completions, key=lambda item: item.index)]


FORMS: dict[str, Form] = {"lora": "adapter", "qlora": "adapter", "full": "weights", "external": "served"}


def trained(method: str, folder: str = "checkpoints/a", **fields: Any) -> Checkpoint:
    return Checkpoint(base="m", base_fingerprint="f", method=method, form=FORMS[method], folder=folder, **fields)


BASE = Checkpoint(base="m", base_fingerprint="f")


# The openai engine ---------------------------------------------------------------------------------------------------


def test_every_prompt_is_one_user_message_and_gets_its_answer() -> None:
    with server(script=echo) as provider:
        target = OpenAITarget("m", base_url=provider.base_url)
        completions = list(target.generate(PROMPTS, GREEDY))
        target.close()

    assert isinstance(target, BlockTarget)
    assert isinstance(VLLMTarget("m"), BlockTarget)
    assert not isinstance(target, Likelihood)
    assert texts(completions) == [f"You said: {prompt}" for prompt in PROMPTS]
    assert [item.prompt_hash for item in sorted(completions, key=lambda item: item.index)] == [*map(digest, PROMPTS)]
    assert all(completion.tokens > 0 and not completion.truncated for completion in completions)


def test_an_answer_that_reaches_the_cap_is_marked_as_cut_off() -> None:
    with server(Settings(reply="four words make four", bytes_per_token=5)) as provider:
        target = OpenAITarget("m", base_url=provider.base_url)
        [cut] = target.generate(["a"], Generation(max_new_tokens=2))
        [whole] = target.generate(["a"], Generation(max_new_tokens=20))
        target.close()

    assert (cut.truncated, cut.tokens, cut.text) == (True, 2, "four words")
    assert (whole.truncated, whole.text) == (False, "four words make four")


def test_settings_reach_the_server() -> None:
    target = OpenAITarget("m", base_url="http://127.0.0.1:1/v1", sampling={"top_p": 0.5})
    settings = Generation(max_new_tokens=7, temperature=0.3, seed=11)
    chat = target._chat("m", {"top_p": 0.5, "seed": settings.seed})
    request = json.loads(chat.build(Chat(1)._ask("Hello", settings), Dialect()).body)

    assert request == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 7,
        "temperature": 0.3,
        "top_p": 0.5,
        "seed": 11,
        "stream": False,
    }


def test_each_draw_at_a_temperature_is_asked_for_and_kept_by_itself(tmp_path: Path) -> None:
    with server(script=echo) as provider:
        target = OpenAITarget("m", base_url=provider.base_url, workspace=str(tmp_path))
        for seed in (1, 2, 1):
            list(target.generate(PROMPTS[:3], Generation(max_new_tokens=16, temperature=0.7, seed=seed)))
        target.close()
        asked = provider.stats().requests

    assert asked == 6, "the third draw is the first one again"


def test_answers_come_as_they_finish() -> None:
    with server(Settings(latency=0.3), script=echo) as provider:
        target = OpenAITarget("m", base_url=provider.base_url, concurrency=4)
        stream = target.generate(PROMPTS, GREEDY)
        next(stream)
        answered = provider.stats().answered
        rest = list(stream)
        target.close()

    assert len(rest) == len(PROMPTS) - 1
    assert answered < len(PROMPTS), "the first answer came before the last was given"


def test_blocks_keep_their_composition_and_overlap_in_the_air() -> None:
    blocks = [PROMPTS[:5], [], PROMPTS[5:6], PROMPTS[6:]]
    with server(Settings(latency=0.2), script=echo) as provider:
        target = OpenAITarget("m", base_url=provider.base_url)
        target.fingerprint  # noqa: B018 - it asks the server once
        started = time.monotonic()
        found = dict(target.generate_blocks(blocks, GREEDY))
        seconds = time.monotonic() - started
        target.close()

    assert {number: texts(block) for number, block in found.items()} == {
        number: [f"You said: {prompt}" for prompt in block] for number, block in enumerate(blocks)
    }
    assert all([item.index for item in block] == [*range(len(block))] for block in found.values())
    assert seconds < 3 * 0.2


def test_faults_on_the_way_are_the_engines_and_change_no_answer() -> None:
    with server(
        Settings(), Faults(rate_limited=0.2, cut=0.1, server_error=0.1, retry_after=0), script=echo
    ) as provider:
        target = OpenAITarget("m", base_url=provider.base_url, concurrency=4)
        completions = list(target.generate(PROMPTS, GREEDY))
        target.close()

    assert texts(completions) == [f"You said: {prompt}" for prompt in PROMPTS]


def too_long(turns: Sequence[Turn]) -> str:
    from errorbook.testing.wire import ErrorReply

    if "4" in turns[-1].content:
        raise ErrorReply(400, "invalid_request_error", "The prompt is longer than the model's context.")
    return echo(turns)


def test_what_was_answered_before_a_failure_is_yielded_and_never_bought_again(tmp_path: Path) -> None:
    port = free_port()
    with server(script=too_long, port=port) as provider:
        target = OpenAITarget("m", base_url=provider.base_url, workspace=str(tmp_path))
        answered: list[Completion] = []
        refused = r"^1 request to 'm' at .* failed \(the first: .*longer than the model.* give the same command again"
        with pytest.raises(ModelError, match=refused):
            answered.extend(target.generate(PROMPTS[:8], GREEDY))
        target.close()
    with server(script=echo, port=port) as provider:
        again = OpenAITarget("m", base_url=provider.base_url, workspace=str(tmp_path))
        completions = list(again.generate(PROMPTS[:8], GREEDY))
        requests = provider.stats().requests
        again.close()

    assert sorted(completion.index for completion in answered) == [0, 1, 2, 3, 5, 6, 7]
    assert len(completions) == 8
    assert requests == 1


@pytest.mark.parametrize("kept", [True, False])
def test_an_answer_is_asked_for_once_unless_it_is_asked_past_the_store(tmp_path: Path, kept: bool) -> None:
    with server(script=echo) as provider:
        target = OpenAITarget("m", base_url=provider.base_url, workspace=str(tmp_path) if kept else None)
        requests = []
        for answering in (target, target, target.uncached, target.uncached, target):
            answers = texts(answering.generate(PROMPTS[:2], GREEDY))
            assert answers == [f"You said: {prompt}" for prompt in PROMPTS[:2]]
            requests.append(provider.stats().requests)
        target.uncached.close()

    assert requests == [2, 2, 4, 6, 6] if kept else [2, 4, 6, 8, 10]
    assert isinstance(target, Remembers)
    assert (target.uncached.fingerprint, target.uncached.base) == (target.fingerprint, "m")


def test_a_server_that_refuses_everything_is_not_asked_everything() -> None:
    def never(_: Sequence[Turn]) -> str:
        from errorbook.testing.wire import ErrorReply

        raise ErrorReply(400, "invalid_request_error", "This model answers no chats.")

    with server(script=never) as provider:
        target = OpenAITarget("m", base_url=provider.base_url, concurrency=2)
        with pytest.raises(ModelError, match="answers no chats"):
            list(target.generate([f"prompt {number}" for number in range(400)], GREEDY))
        asked = provider.stats().requests
        target.close()

    assert asked < FAILURES_AT_MOST + 16


def test_nobody_there_is_one_sentence() -> None:
    target = OpenAITarget("m", base_url=f"http://127.0.0.1:{free_port()}/v1")

    with pytest.raises(ModelError, match=r"did not answer .* see to the server or correct base_url"):
        target.fingerprint  # noqa: B018


def test_a_wrong_key_is_one_sentence_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    with server(Settings(api_key="sk-other")) as provider:
        target = OpenAITarget("m", base_url=provider.base_url, api_key_env="SOME_KEY")
        with pytest.raises(ModelError) as caught:
            list(target.generate(["a"], GREEDY))
        target.close()

    assert "key" in str(caught.value)
    assert "very-secret" not in str(caught.value)


def test_the_fingerprint_is_of_the_address_the_model_and_what_the_server_says_of_it() -> None:
    with server(Settings(models=("m", "n"))) as provider:
        url = provider.base_url
        known = OpenAITarget("m", base_url=url).fingerprint
        assert OpenAITarget("m", base_url=url).fingerprint == known
        others = {
            OpenAITarget("n", base_url=url).fingerprint,
            OpenAITarget("unlisted", base_url=url).fingerprint,
            OpenAITarget("m", base_url=url, sampling={"top_p": 0.1}).fingerprint,
        }
        port = int(url.split(":")[2].split("/")[0])
    with server(Settings(models=("other",)), port=port) as provider:
        # The same address, but the server does not know the model of that name any more.
        others.add(OpenAITarget("m", base_url=provider.base_url).fingerprint)

    assert len(others - {known}) == 4


def test_texts_are_embedded_at_unit_length_where_the_endpoint_serves_it() -> None:
    with server(Settings(embeddings=16)) as provider:
        target = OpenAITarget("m", base_url=provider.base_url)
        vectors = target.embed(["one two two", "two two one", "", *(f"text {n}" for n in range(70))])
        none = target.embed([])

    assert vectors.dtype == np.float32
    assert vectors.shape == (73, 16)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    assert np.allclose(vectors[0], vectors[1])
    assert none.shape[0] == 0


def test_an_endpoint_without_embeddings_names_the_retriever_that_needs_none() -> None:
    with server() as provider, pytest.raises(ConfigError, match=r"embeds no texts .* set retriever = 'tfidf'"):
        OpenAITarget("m", base_url=provider.base_url).embed(["a"])


def test_a_server_that_was_started_without_embeddings_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def send(self: Api, method: str, url: str, value: object = None) -> ServerAnswer:
        asked.append(url)
        return ServerAnswer(501, {}, b'{"error":{"code":501,"message":"Start it with `--embeddings`"}}')

    monkeypatch.setattr(Api, "send", send)
    with pytest.raises(ConfigError, match=r"Start it with `--embeddings`\); set retriever = 'tfidf'"):
        OpenAITarget("m", base_url="http://127.0.0.1:1/v1").embed(["a"])
    assert len(asked) == 1


def test_a_model_is_the_same_if_its_server_was_started_with_more_context(monkeypatch: pytest.MonkeyPatch) -> None:
    def fingerprint(**meta: int) -> str:
        listed = json.dumps({"data": [{"id": "m", "created": len(meta), "meta": meta}]}).encode()
        monkeypatch.setattr(Api, "send", lambda *_: ServerAnswer(200, {}, listed))
        return OpenAITarget("m", base_url="http://127.0.0.1:1/v1").fingerprint

    assert fingerprint(n_params=7, n_ctx=512) == fingerprint(n_params=7, n_ctx=4096) == fingerprint(n_params=7)
    assert fingerprint(n_params=7) != fingerprint(n_params=8)


def test_a_checkpoint_trained_elsewhere_answers_under_its_served_name(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "a"
    folder.mkdir(parents=True)
    (folder / "served.json").write_text('{"model": "m-trained"}')
    with server(Settings(models=("m-trained",)), script=echo) as provider:
        target = OpenAITarget("m", base_url=provider.base_url)
        target.use(trained("external"), tmp_path)
        [completion] = target.generate(["Hello"], GREEDY)
        target.use(BASE, tmp_path)
        with pytest.raises(ModelError, match="does not know the model 'm'"):
            list(target.generate(["Hello"], GREEDY))
        target.close()

    assert completion.text == "You said: Hello"


def test_a_target_says_which_trainings_it_can_answer_for(tmp_path: Path) -> None:
    (tmp_path / "served.json").write_text('{"model": "n"}')
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    for target in (OpenAITarget("m", base_url="http://127.0.0.1:1/v1"), VLLMTarget("m")):
        assert target.forms
        for method, form in FORMS.items():
            usable = pytest.raises(ModelError) if form not in target.forms else nullcontext()
            with usable:
                target.use(trained(method, "."), tmp_path)


@pytest.mark.parametrize(
    ("checkpoint", "content", "reason"),
    [
        (trained("lora"), '{"model": "n"}', "cannot apply a checkpoint of the method 'lora'; set method = 'external'"),
        (trained("full"), '{"model": "n"}', "cannot apply a checkpoint of the method 'full'"),
        (trained("external", scale=0.5), '{"model": "n"}', r"set scales = \[1.0\]"),
        (trained("external"), None, r"is missing; write \{\"model\": \"NAME\"\} into it"),
        (trained("external"), "{}", "cannot be read"),
        (trained("external"), '{"model": " "}', "names no model"),
    ],
)
def test_a_checkpoint_that_cannot_be_served_is_refused(
    tmp_path: Path, checkpoint: Checkpoint, content: str | None, reason: str
) -> None:
    folder = tmp_path / checkpoint.folder
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "served.json").write_text(content)

    with pytest.raises(ModelError, match=reason):
        OpenAITarget("m", base_url="http://127.0.0.1:1/v1").use(checkpoint, tmp_path)


def test_a_known_context_lowers_the_cap_or_refuses_what_cannot_fit() -> None:
    with server(Settings(reply="word " * 400, bytes_per_token=5)) as provider:
        target = OpenAITarget("m", base_url=provider.base_url, max_context=200)
        [completion] = target.generate(["a" * 30], Generation(max_new_tokens=300))
        with pytest.raises(ConfigError, match="leaves no room for an answer in max_context = 200"):
            list(target.generate(["a" * 3000], GREEDY))
        target.close()

    assert (completion.tokens, completion.truncated) == (200 - 64 - 10, True)


def test_the_options_of_the_run_file_are_checked() -> None:
    with pytest.raises(ConfigError, match="concurrency is 0"):
        OpenAITarget("m", base_url="http://127.0.0.1:1/v1", concurrency=0)
    with pytest.raises(ConfigError, match="no max_lora_rank of 20; set it to one of"):
        VLLMTarget("m", max_lora_rank=20)
    with pytest.raises(ConfigError, match="command of the vLLM server is empty"):
        VLLMTarget("m", command=())


# The vllm engine -----------------------------------------------------------------------------------------------------

STAND_IN = KITS / "stand_in_vllm.py"


class Stage:
    """A model folder, adapters in a run's folder, and what the stand-in wrote down."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.model = root / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text("{}")
        (self.model / "model.safetensors").write_bytes(b"weights")
        self.targets: list[VLLMTarget] = []

    def target(self, behaviour: str = "healthy", **options: Any) -> VLLMTarget:
        command = (sys.executable, str(STAND_IN), behaviour)
        found = VLLMTarget(str(self.model), command=command, **{"start_seconds": 20.0, **options})
        self.targets.append(found)
        return found

    def adapter(self, name: str, rank: int = 8, **fields: Any) -> Checkpoint:
        folder = self.root / "checkpoints" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "adapter_model.safetensors").write_bytes(name.encode())
        (folder / "adapter_config.json").write_text(json.dumps({"r": rank, "lora_alpha": 16, "alpha_pattern": {}}))
        return trained("lora", f"checkpoints/{name}", **{"weights_hash": name, **fields})

    def full(self, name: str) -> Checkpoint:
        folder = self.root / "checkpoints" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(name.encode())
        return trained("full", f"checkpoints/{name}", weights_hash=name)

    def log(self, path: str = "") -> list[dict[str, Any]]:
        file = self.root / "stand-in.log"
        lines = file.read_text().splitlines() if file.is_file() else []
        return [row for row in map(json.loads, lines) if path in {"", row["path"]}]

    def answers(self, target: Target, checkpoint: Checkpoint) -> list[str]:
        target.use(checkpoint, self.root)
        return texts(target.generate(PROMPTS[:3], GREEDY))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "stand-in.log"))
    monkeypatch.setenv("ERRORBOOK_CACHE", str(tmp_path / "cache"))
    stage = Stage(tmp_path)
    yield stage
    for target in stage.targets:
        target.close()
    assert eventually(lambda: not any(alive(row["pid"]) for row in stage.log("start")))


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has fetched yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def test_base_and_adapters_answer_from_one_server_each_as_itself(stage: Stage) -> None:
    target = stage.target()
    one, two = stage.adapter("one"), stage.adapter("two")

    found = [stage.answers(target, checkpoint) for checkpoint in (BASE, one, two, one, BASE)]

    assert found[0] == found[4]
    assert found[1] == found[3]
    assert len({tuple(answers) for answers in found}) == 3
    assert len(stage.log("start")) == 1
    assert [row["lora_name"] for row in stage.log("/v1/load_lora_adapter")] == [
        f"errorbook-{checkpoint.hash}" for checkpoint in (one, two, one)
    ]
    assert len(stage.log("/v1/unload_lora_adapter")) == 2


def test_a_scaled_adapter_is_served_with_another_alpha(stage: Stage) -> None:
    target = stage.target()
    whole, half = stage.adapter("one"), stage.adapter("one", scale=0.5)

    assert stage.answers(target, whole) != stage.answers(target, half)
    path = Path(stage.log("/v1/load_lora_adapter")[-1]["lora_path"])
    assert json.loads((path / "adapter_config.json").read_text())["lora_alpha"] == 8.0
    target.close()
    assert not path.exists()


def test_scaling_multiplies_every_alpha_and_leaves_the_original_alone(tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    config = {"r": 4, "lora_alpha": 8, "alpha_pattern": {"q_proj": 2}, "bias": "none"}
    (original / "adapter_config.json").write_text(json.dumps(config))
    (original / "adapter_model.safetensors").write_bytes(b"weights")

    scale_adapter(original, copy, 0.25)

    changed = {"lora_alpha": 2.0, "alpha_pattern": {"q_proj": 0.5}}
    assert json.loads((copy / "adapter_config.json").read_text()) == {**config, **changed}
    assert json.loads((original / "adapter_config.json").read_text()) == config
    assert (copy / "adapter_model.safetensors").read_bytes() == b"weights"


@pytest.mark.slow
def test_a_scaled_copy_is_to_a_model_what_scaling_the_adapter_is(tmp_path: Path, tiny_model: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    def logits(model: Any) -> Any:
        with torch.inference_mode():
            return model(input_ids=torch.tensor([[5, 6, 7]])).logits

    model = loading.load_model(str(tiny_model), "cpu", "float32")
    with quiet_transformers():
        adapted: Any = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if ".lora_B." in name:
                weight.normal_(std=0.2, generator=torch.Generator().manual_seed(3))
    adapted.save_pretrained(str(tmp_path / "adapter"))
    scale_adapter(tmp_path / "adapter", tmp_path / "copy", 0.3)

    scaled, copied, whole = (
        logits(loading.apply_adapter(loading.load_model(str(tiny_model), "cpu", "float32"), tmp_path / folder, scale))
        for folder, scale in (("adapter", 0.3), ("copy", 1.0), ("adapter", 1.0))
    )

    assert torch.allclose(scaled, copied, atol=1e-4)
    assert not torch.allclose(scaled, whole, atol=1e-2)


def test_full_weights_get_a_server_of_their_own(stage: Stage) -> None:
    target = stage.target()

    assert stage.answers(target, BASE) != stage.answers(target, stage.full("whole"))
    assert [Path(row["model"]).name for row in stage.log("start")] == ["model", "whole"]
    with pytest.raises(ModelError, match="cannot scale full weights"):
        target.use(trained("full", scale=0.5), stage.root)


def test_a_difference_in_log_probabilities_alone_shows_that_an_adapter_is_applied(stage: Stage) -> None:
    target = stage.target("subtle")

    assert stage.answers(target, BASE) == stage.answers(target, stage.adapter("one"))


@pytest.mark.parametrize("behaviour", ["deaf", "deaf-and-noisy"])
def test_the_canary_dies_where_adapters_are_ignored(stage: Stage, behaviour: str) -> None:
    target = stage.target(behaviour)

    with pytest.raises(ModelError, match=r"^The adapter 'errorbook-\w+' is not applied: .*transformers"):
        stage.answers(target, stage.adapter("one"))

    asked = stage.log("/v1/chat/completions")
    assert {row["messages"][0]["content"] for row in asked} == set(canary.PROMPTS)  # no question of the run was asked
    assert all(row["max_tokens"] == 16 and row["logprobs"] and row["temperature"] == 0 for row in asked)
    assert not alive(stage.log("start")[0]["pid"])


def test_an_adapter_that_the_server_refuses_is_explained_in_its_words(stage: Stage) -> None:
    target = stage.target(max_lora_rank=8)

    with pytest.raises(ModelError, match=r"LoRA rank 32 is greater .* compare its rank with max_lora_rank"):
        stage.answers(target, stage.adapter("one", rank=32))


def test_missing_weights_are_noticed_before_the_server_is_started(stage: Stage) -> None:
    target = stage.target()

    with pytest.raises(ModelError, match="weights are missing"):
        target.use(trained("lora", "checkpoints/none"), stage.root)
    with pytest.raises(ModelError, match="engine = 'openai'"):
        target.use(trained("external"), stage.root)
    assert stage.log() == []


def test_a_server_that_ends_at_start_is_quoted(stage: Stage) -> None:
    target = stage.target("dying")

    with pytest.raises(ModelError, match=r"ended with status 1 .* Loading weights \| ValueError: this model is not"):
        stage.answers(target, BASE)


def test_a_server_that_never_gets_ready_is_quoted_and_ended(stage: Stage) -> None:
    target = stage.target("sickly", start_seconds=1.0)

    with pytest.raises(ModelError, match=r"not ready within 1 s; raise start_seconds .* The stand-in listens on"):
        stage.answers(target, BASE)
    assert not alive(stage.log("start")[0]["pid"])


@pytest.mark.slow
def test_a_server_that_ends_while_it_answers_is_quoted_and_the_next_call_starts_another(stage: Stage) -> None:
    target = stage.target("mortal", concurrency=2)

    for starts in (1, 2):
        with pytest.raises(ModelError, match=r"ended with status 3 while it answered; .* CUDA out of memory"):
            stage.answers(target, BASE)
        assert len(stage.log("start")) == starts


def test_a_program_that_is_not_there_is_one_sentence(stage: Stage) -> None:
    target = VLLMTarget(str(stage.model), command=("no-such-vllm", "serve"))

    with pytest.raises(ModelError, match=r"The program 'no-such-vllm' is not there; install it \(vLLM"):
        stage.answers(target, BASE)


def test_the_fingerprint_starts_no_server_and_is_of_weights_template_and_arguments(stage: Stage) -> None:
    plain = stage.target().fingerprint
    other = stage.target(args=("--dtype", "float16"))
    found = {plain, other.fingerprint}
    (stage.model / "chat_template.jinja").write_text("{{ messages }}")
    found.add(stage.target().fingerprint)
    (stage.model / "model.safetensors").write_bytes(b"other weights")
    found.add(stage.target().fingerprint)

    assert len(found) == 4
    assert stage.log() == []
    stage.answers(other, BASE)
    assert stage.log("start")[0]["dtype"] == "float16"


def test_answers_are_kept_by_weights_and_not_by_port_or_name(stage: Stage) -> None:
    one = stage.adapter("one")
    first = stage.answers(stage.target(workspace=str(stage.root)), one)
    stage.targets[0].close()
    asked = len(stage.log("/v1/chat/completions"))

    second = stage.answers(stage.target(workspace=str(stage.root)), one)

    assert second == first
    # Only the canary was asked again: two takes of the base, one of the adapter.
    assert len(stage.log("/v1/chat/completions")) - asked == 3 * len(canary.PROMPTS)


def test_a_target_asked_past_its_store_answers_as_the_same_checkpoint(stage: Stage) -> None:
    target = stage.target(workspace=str(stage.root))
    kept = stage.answers(target, stage.adapter("one"))
    asked = len(stage.log("/v1/chat/completions"))

    assert texts(target.uncached.generate(PROMPTS[:3], GREEDY)) == kept
    assert len(stage.log("/v1/chat/completions")) == asked + 3
    assert len(stage.log("start")) == 1


def test_it_embeds_nothing_and_says_what_to_do(stage: Stage) -> None:
    with pytest.raises(ConfigError, match="retriever = 'tfidf'"):
        stage.target().embed(["a"])


# Processes -----------------------------------------------------------------------------------------------------------


def stubborn(stage: Stage) -> list[str]:
    names = ["--host", "127.0.0.1", "--port", str(free_port()), "--served-model-name", "base", "--enable-lora"]
    more = ["--max-lora-rank", "8", "--generation-config", "vllm"]
    return [sys.executable, str(STAND_IN), "stubborn", str(stage.model), *names, *more]


def started(stage: Stage) -> list[int]:
    """The process ids of the last start, once it is written down."""
    assert eventually(lambda: bool(stage.log("start")))
    row = stage.log("start")[-1]
    return [row["pid"], *([row["worker"]] if "worker" in row else [])]


def test_close_ends_a_server_that_ignores_it_and_its_workers(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = stage.root / "guard.py"
    guard = Path(canary.__file__).with_name("guard.py").read_text()
    impatient.write_text(guard.replace("GRACE = 8.0", "GRACE = 0.3"))
    monkeypatch.setattr("errorbook.adapters.targets.guard.__file__", str(impatient))
    running = ServedCommand(stubborn(stage), {"VLLM_API_KEY": "key"})
    pids = started(stage)
    assert all(map(alive, pids))

    running.close()
    running.close()

    assert not any(map(alive, pids))


def test_no_server_outlives_its_owner(stage: Stage) -> None:
    owner = """
        import sys
        from errorbook.records import Checkpoint, Generation
        from errorbook.adapters.targets.vllm import VLLMTarget

        target = VLLMTarget(sys.argv[1], command=(sys.executable, sys.argv[2], "healthy"))
        list(target.generate(["a"], Generation(max_new_tokens=4)))
        print("answered", flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(owner), str(stage.model), str(STAND_IN)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "answered\n"
        [pid] = started(stage)
        assert alive(pid)

        process.kill()

        assert eventually(lambda: not alive(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_no_server_outlives_its_guard(stage: Stage) -> None:
    running = ServedCommand([*stubborn(stage)[:2], "healthy", *stubborn(stage)[3:]], {"VLLM_API_KEY": "key"})
    [pid] = started(stage)

    os.kill(running._guard.pid, signal.SIGKILL)

    assert eventually(lambda: not alive(pid))
    running.close()
