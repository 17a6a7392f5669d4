"""Small models in the shapes of the real templates' families: asked, trained, merged and exported, as a run does it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recipe_kit import child_of, recipe_of
from shape_kit import SHAPES, write_model
from template_kit import TEMPLATES, tokenizer_of

from errorbook.adapters.scorers.numeric import Numeric
from errorbook.adapters.targets import gguf_file, loading
from errorbook.adapters.targets.conversation import Thinking, render
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.targets.weights import Weights, load
from errorbook.adapters.tasks.arithmetic import Arithmetic
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.config import Config, RunSection, TargetSection, TaskSection
from errorbook.errors import ModelError
from errorbook.evaluate import evaluate, identify
from errorbook.exporting import gguf, weights
from errorbook.exporting.chosen import Chosen
from errorbook.records import Checkpoint, Lesson, Response

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TEMPLATES, reason="needs the reference data; set ERRORBOOK_DATA to its folder"),
]
TASK = Arithmetic()
EXAMPLES = TASK.examples("train", 1, 0)
LESSONS = [
    Lesson(prompt=TASK.prompt(example.question), completion=f"Answer: {example.answer}", source=example.id)
    for example in EXAMPLES
]


def ask(target: TransformersTarget, checkpoint: Checkpoint, root: Path) -> list[Response]:
    target.use(checkpoint, root)
    evaluation = identify(target, checkpoint.hash, TASK, "train", EXAMPLES)
    found = [one for block in evaluate(target, TASK, Numeric(), evaluation, EXAMPLES) for one in block]
    return sorted(found, key=lambda one: one.example)


def test_every_template_has_a_shape() -> None:
    assert sorted(path.stem for path in TEMPLATES) == sorted(SHAPES)


@pytest.mark.parametrize("template", TEMPLATES, ids=[path.stem for path in TEMPLATES])
def test_a_model_of_this_shape_goes_the_whole_way(template: Path, tmp_path: Path) -> None:
    thinking: Thinking = "on"
    base = write_model(tmp_path / "base", template.stem, tokenizer_of(template, 1000))
    target = TransformersTarget(str(base), "cpu", "float32", thinking=thinking)
    start = Checkpoint(base=str(base), base_fingerprint=target.fingerprint)
    recipe = recipe_of(rank=8, alpha=32, epochs=15.0, batch_size=1, learning_rate=1e-2, max_tokens=4096)

    before = ask(target, start, tmp_path)
    trainer = TransformersTrainer(str(base), "cpu", "float32", thinking=thinking)
    training = trainer.train(start, LESSONS, recipe, tmp_path, lambda done, total: None)
    better = child_of(start, training)
    after = ask(target, better, tmp_path)

    assert len(before) == len(after) == 1
    assert all(one.tokens > 0 and one.score.verdict for one in (*before, *after))
    assert training.losses[-1] < 0.8 * training.losses[0]
    check_exports(base, better, tmp_path)


def check_exports(base: Path, checkpoint: Checkpoint, root: Path) -> None:
    """The merged model computes what the adapter does, its template too; a GGUF file is written or refused."""
    import torch

    target = TargetSection(model=str(base), engine="transformers", options={"thinking": "on"})
    config = Config(run=RunSection(name="tiny"), target=target, tasks=(TaskSection(name="arithmetic"),))
    source = weights.Source(config, root, Chosen(checkpoint, "final"))
    merged, adapter, single = root / "merged", root / "adapter", root / "gguf"
    for folder in (merged, adapter, single):
        folder.mkdir()
    weights.write_merged(source, merged)
    weights.write_adapter(source, adapter, str(base))
    tokenizer = loading.load_tokenizer(str(merged))
    text = render(tokenizer, LESSONS[0].prompt, "on")
    ids = torch.tensor([loading.prompt_ids(tokenizer, text)])
    models = (
        load(str(base), Weights(checkpoint, root), "cpu", "float32"),
        loading.load_model(str(merged), "cpu", "float32"),
    )
    with torch.inference_mode():
        ours, theirs = (model(input_ids=ids).logits for model in models)
    assert torch.allclose(ours, theirs, atol=1e-3)
    assert (adapter / "adapter_model.safetensors").is_file()
    if gguf_file.can_write(json.loads((base / "config.json").read_text(encoding="utf-8"))):
        assert gguf.write_gguf(source, single).stat().st_size > 10_000
        assert "PARAMETER stop" in (single / gguf.MODELFILE).read_text(encoding="utf-8")
    else:
        with pytest.raises(ModelError, match="not written here"):
            gguf.write_gguf(source, single)
