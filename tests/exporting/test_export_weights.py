"""Exported weights are opened here by the tools that they are for, and must answer as what the run examined."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from export_kit import card, front

from errorbook.adapters.targets import conversation, embedded, loading
from errorbook.adapters.targets.weights import Weights, load
from errorbook.cli.main import run_command
from errorbook.config import Config, RunSection, TargetSection, TaskSection, dump
from errorbook.errors import ModelError
from errorbook.exporting import gguf, weights
from errorbook.exporting.chosen import Chosen
from errorbook.exporting.folder import MANIFEST
from errorbook.ledger import keys
from errorbook.ledger.file import open_ledger
from errorbook.records import (
    Checkpoint,
    Decision,
    Form,
)


@pytest.fixture
def source(tiny_model: Path, tmp_path: Path, request: pytest.FixtureRequest) -> weights.Source:
    """A kept checkpoint whose weights differ from the base's, accepted at half its effect."""
    method = getattr(request, "param", "lora")
    folder = tmp_path / "run" / "checkpoints" / "one"
    make_weights(tiny_model, folder, method)
    checkpoint = Checkpoint(
        base=str(tiny_model),
        base_fingerprint="f" * 32,
        parent="p" * 32,
        method=method,
        form="weights" if method == "full" else "adapter",
        folder="checkpoints/one",
        weights_hash=loading.weights_hash(folder),
        scale=0.5,
    )
    config = Config(
        run=RunSection(name="tiny"),
        target=TargetSection(model=str(tiny_model), engine="transformers"),
        tasks=(TaskSection(name="arithmetic"),),
    )
    return weights.Source(config, tmp_path / "run", Chosen(checkpoint, "final"))


def make_weights(tiny_model: Path, folder: Path, method: str) -> None:
    import torch

    with embedded.quiet_transformers():
        from peft import LoraConfig, get_peft_model

    model = loading.load_model(str(tiny_model), "cpu", "float32")
    with embedded.quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        if method == "full":
            with torch.no_grad():
                for weight in model.parameters():
                    weight.add_(0.05 * torch.randn_like(weight))
        else:
            lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
            model = get_peft_model(model, lora)
    model.save_pretrained(folder)


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model(torch.arange(3, 40)[None]).logits


def examined(source: weights.Source, tiny_model: Path) -> Any:
    """What the target that the gate judged says."""
    return logits(load(str(tiny_model), Weights(source.checkpoint, source.root), "cpu", "float32"))


@pytest.mark.parametrize("source", ["lora", "full"], indirect=True)
def test_merged_weights_answer_as_the_target_that_was_examined(
    source: weights.Source, tiny_model: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = tmp_path / "out"
    out.mkdir()
    weights.write_merged(source, out, shard="40KB")

    merged = AutoModelForCausalLM.from_pretrained(out)
    assert torch.equal(logits(merged), examined(source, tiny_model))
    assert not torch.allclose(logits(merged), logits(AutoModelForCausalLM.from_pretrained(tiny_model)), atol=1e-3)
    assert len(list(out.glob("model-*.safetensors"))) > 1
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert conversation.render(tokenizer, "Hi") == conversation.render(loading.load_tokenizer(str(tiny_model)), "Hi")
    assert (out / "tokenizer.json").read_bytes() == (tiny_model / "tokenizer.json").read_bytes()


def test_the_adapter_answers_through_peft_as_the_target_that_was_examined(
    source: weights.Source, tiny_model: Path, tmp_path: Path
) -> None:
    import torch

    with embedded.quiet_transformers():
        from peft import AutoPeftModelForCausalLM

    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        weights.write_adapter(source, tmp_path / name, str(tiny_model))
        written.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})

    with embedded.quiet_transformers():
        model = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "one").eval()
    # An adapter beside its weights sums in another order than merged ones; how far that moves a logit of this model
    # depends on the processor (1.6e-5 was seen, of 9). Another adapter, or another scale, moves them by more than 1e-3.
    assert torch.allclose(logits(model), examined(source, tiny_model), atol=1e-4)
    assert written[0] == written[1]


def test_the_gguf_file_answers_as_the_target_that_was_examined(
    source: weights.Source, tiny_model: Path, tmp_path: Path
) -> None:
    import torch
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM

    path = gguf.write_gguf(source, tmp_path)

    reader = GGUFReader(path)
    tokenizer = loading.load_tokenizer(str(tiny_model))
    assert reader.fields["tokenizer.ggml.pre"].contents() == "gpt-2"
    assert reader.fields["general.name"].contents() == "tiny"
    assert reader.fields["tokenizer.chat_template"].contents() == tokenizer.chat_template
    rows = next(tensor for tensor in reader.tensors if tensor.name == "token_embd.weight").shape[1]
    assert len(reader.fields["tokenizer.ggml.tokens"].contents()) == rows
    read = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=path.name, dtype=torch.float32)
    assert torch.allclose(logits(read), examined(source, tiny_model), atol=0.05)
    assert f"FROM ./{path.name}" in (tmp_path / "Modelfile").read_text(encoding="utf-8")


def test_embeddings_that_are_padded_have_a_token_for_each_row(
    source: weights.Source, tiny_model: Path, tmp_path: Path
) -> None:
    from gguf import GGUFReader

    base = tmp_path / "padded"
    shutil.copytree(tiny_model, base)
    model = loading.load_model(str(tiny_model), "cpu", "float32")
    model.resize_token_embeddings(264)
    model.save_pretrained(base)
    config = msgspec.structs.replace(source.config, target=TargetSection(model=str(base), engine="transformers"))
    padded = weights.Source(config, tmp_path, Chosen(Checkpoint(base="b", base_fingerprint="f"), "base"))

    reader = GGUFReader(gguf.write_gguf(padded, tmp_path))

    assert len(reader.fields["tokenizer.ggml.tokens"].contents()) == 264


def test_a_model_that_gguf_is_not_written_for_is_refused_with_another_way(
    source: weights.Source, tiny_model: Path, tmp_path: Path
) -> None:
    base = tmp_path / "other"
    shutil.copytree(tiny_model, base)
    described = json.loads((base / "tokenizer.json").read_text())
    described["pre_tokenizer"] = {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "split": True}
    (base / "tokenizer.json").write_text(json.dumps(described))
    config = msgspec.structs.replace(source.config, target=TargetSection(model=str(base), engine="transformers"))

    with pytest.raises(ModelError, match="convert_hf_to_gguf"):
        gguf.write_gguf(source._replace(config=config), tmp_path)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        # As in the tokenizer.json of Qwen2 and of Llama 3.
        (
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
            r"|\s+(?!\S)|\s+",
            "qwen2",
        ),
        (
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
            r"|\s+(?!\S)|\s+",
            "llama-bpe",
        ),
        (None, "smollm"),
    ],
)
def test_the_file_says_how_text_is_cut(
    source: weights.Source, tiny_model: Path, tmp_path: Path, pattern: str | None, name: str
) -> None:
    from gguf import GGUFReader
    from tokenizers import Regex, Tokenizer, pre_tokenizers

    base = tmp_path / "cut"
    shutil.copytree(tiny_model, base)
    raw = Tokenizer.from_file(str(base / "tokenizer.json"))
    if pattern is None:
        first: Any = pre_tokenizers.Digits(individual_digits=True)
    else:
        first = pre_tokenizers.Split(Regex(pattern), "isolated")
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    raw.pre_tokenizer = pre_tokenizers.Sequence([first, last])
    raw.save(str(base / "tokenizer.json"))
    config = msgspec.structs.replace(source.config, target=TargetSection(model=str(base), engine="transformers"))

    reader = GGUFReader(gguf.write_gguf(source._replace(config=config), tmp_path))

    assert reader.fields["tokenizer.ggml.pre"].contents() == name


CHATML = (
    "{%% for message in messages %%}%s{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n' }}{%% endfor %%}{%% if add_generation_prompt %%}{{ '<|im_start|>assistant\n' }}{%% endif %%}"
)
DEFAULT = (
    "{% if loop.first and message['role'] != 'system' %}{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
    "{{ '<|im_start|>' + m['content'] + '<|im_end|>' }}{% endfor %}"
)


def as_ollama(modelfile: str, prompt: str) -> str:
    """What Ollama sends for one prompt: the TEMPLATE up to the response, its gaps filled, with the SYSTEM message."""
    template = re.search(r'TEMPLATE """(.*?)"""', modelfile, re.S)
    told = re.search(r'SYSTEM """(.*?)"""', modelfile, re.S)
    assert template is not None
    system = told.group(1) if told else ""
    text = template.group(1).partition("{{ .Response }}")[0]
    text = re.sub(r"\{\{ if \.System \}\}(.*?)\{\{ end \}\}", r"\1" if system else "", text, flags=re.S)
    return text.replace("{{ .System }}", system).replace("{{ .Prompt }}", prompt)


@pytest.mark.parametrize("template", [CHATML % "", CHATML % DEFAULT, NO_SYSTEM, None])
def test_ollama_asks_exactly_as_the_run_did(tiny_model: Path, template: str | None) -> None:
    tokenizer = loading.load_tokenizer(str(tiny_model))
    tokenizer.chat_template = template

    written = gguf.modelfile(tokenizer, "x.gguf")

    assert as_ollama(written, "How much is 2 + 2?") == conversation.render(tokenizer, "How much is 2 + 2?")


def test_weights_that_changed_after_the_gate_are_refused(source: weights.Source, tmp_path: Path) -> None:
    changed = next((source.root / "checkpoints" / "one").glob("*.safetensors"))
    changed.write_bytes(changed.read_bytes()[:-1] + b"\0\0")

    with pytest.raises(ModelError, match="not those that the gate examined"):
        weights.write_adapter(source, tmp_path, "base")


@pytest.mark.parametrize(
    ("form", "file", "says"),
    [("served", "served.json", "is served"), ("adapter", "weights.json", "is scripted"), ("weights", "", "no adapter")],
)
@pytest.mark.parametrize("source", ["full"], indirect=True)
def test_what_is_no_adapter_is_said_to_be_none(
    source: weights.Source, tmp_path: Path, form: Form, file: str, says: str
) -> None:
    if file:
        (source.root / "checkpoints" / "one" / file).write_text("{}")
    checkpoint = msgspec.structs.replace(source.checkpoint, form=form)

    with pytest.raises(ModelError, match=says):
        weights.write_adapter(source._replace(chosen=Chosen(checkpoint, "final")), tmp_path, "base")


# The command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def finished(source: weights.Source) -> Path:
    """A run's folder whose ledger kept the checkpoint of `source`; nothing else is recorded."""
    checkpoint = source.checkpoint
    with open_ledger(source.root, "write") as ledger:
        ledger.state("config", dump(msgspec.structs.replace(source.config, run=RunSection(name="tiny", cycles=1))))
        base = Checkpoint(base=checkpoint.base, base_fingerprint="f" * 32)
        ledger.append(base, keys.BASE)
        ledger.append(checkpoint, "candidate:1:0.5", 1)
        decision = Decision(
            cycle=1, outcome="accept", reason="gain", checkpoint=checkpoint.hash, candidate=checkpoint.hash
        )
        ledger.append(decision, keys.decision(1), 1)
    return source.root


def test_all_is_everything_that_the_run_can_give(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["export", str(finished), "--what", "all", "--base", "owner/tiny", "--json"]) == 0

    said = capsys.readouterr()
    made = json.loads(said.out)["exports"]
    assert [item["what"] for item in made] == ["adapter", "merged", "gguf", "card"]
    assert "no samples: There is no such sample" in said.err
    for item in made:
        assert {"README.md", MANIFEST} <= set(item["files"])
        assert front((Path(item["folder"]) / "README.md").read_text(encoding="utf-8"))["base_model"] == "owner/tiny"
    settings = json.loads((finished / "export" / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "owner/tiny"


def test_a_folder_of_this_machine_is_not_told_to_the_hub(finished: Path, tiny_model: Path) -> None:
    text = card(finished)

    assert str(tiny_model) not in text
    assert "base_model" not in front(text)
