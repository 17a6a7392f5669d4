"""Memory: what a training takes is told beforehand, passes are fitted to it, and no fit changes what is learnt."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from recipe_kit import recipe_of

from errorbook.adapters.targets import loading
from errorbook.adapters.targets.transformers import end_tokens
from errorbook.adapters.trainers.batches import TokenRow, encode, plan_steps
from errorbook.adapters.trainers.distilling import encode_own
from errorbook.adapters.trainers.job import Job
from errorbook.adapters.trainers.memory import Estimate, choose_rows, free_bytes
from errorbook.adapters.trainers.preference import encode_pairs, measure_reference
from errorbook.adapters.trainers.preparing import copy_values, prepare_model
from errorbook.adapters.trainers.stepping import quicken
from errorbook.adapters.trainers.updating import update
from errorbook.records import Lesson, Recipe

RECIPE = recipe_of(rank=4, alpha=8, learning_rate=1e-2, epochs=1.0, batch_size=8)
LESSONS = [
    Lesson(prompt=f"What is {n}?", completion="It is " + "one " * n, source=f"s{n}", rejected="no" if n % 2 else "")
    for n in range(16)
]
sizes = st.integers(1, 10**9)


def job_of(model: Path, recipe: Recipe, at_once: int, lessons: Sequence[Lesson] = LESSONS) -> Job:
    """A training of the tiny model as the trainer begins it, with so many rows a pass."""
    import torch

    tokenizer = loading.load_tokenizer(str(model))
    rejected: list[TokenRow | None]
    own = None
    if recipe.objective == "dpo":
        rows, rejected, _ = encode_pairs(tokenizer, lessons, 512)
    elif recipe.objective == "self_distill":
        shown = [replace(lesson, context=f"Say one. {lesson.prompt}", max_new_tokens=8) for lesson in lessons]
        own, _ = encode_own(tokenizer, shown, 512, end_tokens(str(model), tokenizer))
        rows, rejected = own.longest(), [None] * len(lessons)
    else:
        rows = encode(tokenizer, lessons, 512)[0]
        rejected = [None] * len(rows)
    torch.manual_seed(0)
    job = Job(
        model=prepare_model(str(model), "cpu", "float32", recipe, None),
        rows=rows,
        rejected=rejected,
        steps=plan_steps(rows, recipe),
        recipe=recipe,
        dtype="float32",
        state=Path(),
        at_once=at_once,
        own=own,
    )
    if own is not None:
        own.teacher = copy_values(job.model)
    quicken(job.model, "cpu")
    job.optimizer = torch.optim.AdamW(job.weights().values(), lr=recipe.learning_rate)
    job.reference = measure_reference(job) if recipe.objective == "dpo" else {}
    return job


@pytest.mark.parametrize("objective", ["sft", "dpo", "self_distill"])
def test_passes_of_any_size_make_the_same_update(objective: str, tiny_model: Path) -> None:
    import torch

    recipe = replace(RECIPE, objective=objective)
    whole, single, recomputed = (job_of(tiny_model, recipe, at_once) for at_once in (16, 1, 3))
    recomputed.recompute()

    losses = [[update(job, step) for step in range(len(job.steps))] for job in (whole, single, recomputed)]

    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[2] == pytest.approx(losses[0], rel=1e-4)
    for name, weight in whole.weights().items():
        torch.testing.assert_close(single.weights()[name], weight, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(recomputed.weights()[name], weight, rtol=1e-3, atol=1e-4)


@given(needs=st.builds(Estimate, *[sizes] * 5, layers=st.integers(1, 80), layer_input=sizes), data=st.data())
def test_a_pass_fits_and_one_more_row_would_not(needs: Estimate, data: st.DataObject) -> None:
    wanted, free = data.draw(st.integers(1, 64)), data.draw(st.integers(0, 10**12))

    rows, recomputed = choose_rows(needs, wanted, free)

    def fits(count: int, *, recomputed: bool) -> bool:
        return needs.total(count, recomputed=recomputed) - needs.weights <= int(free * 0.75)

    assert 1 <= rows <= wanted
    fitting = [count for count in range(1, wanted + 1) if fits(count, recomputed=recomputed)]
    assert rows == max(fitting, default=1)
    assert recomputed == (not fits(1, recomputed=False))
    assert choose_rows(needs, wanted, None) == (wanted, False)


@contextmanager
def little_memory(extra: int) -> Iterator[None]:
    """Let this process take only so many bytes more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + extra, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the process's memory")
def test_a_pass_that_does_not_fit_is_halved_and_nothing_is_updated_twice(tiny_model: Path) -> None:
    import torch

    lessons = [Lesson(prompt=f"{n}", completion="x" * 420, source=f"s{n}") for n in range(32)]
    recipe = replace(RECIPE, batch_size=32)
    roomy, tight = (job_of(tiny_model, recipe, at_once, lessons) for at_once in (4, 32))

    with little_memory(128 * 2**20):
        found = update(tight, 0)
    loss = update(roomy, 0)

    assert tight.at_once in {1, 2, 4, 8, 16}
    assert found == pytest.approx(loss, rel=1e-4)
    assert {int(state["step"]) for state in tight.optimizer.state.values()} == {1}
    for name, weight in roomy.weights().items():
        torch.testing.assert_close(tight.weights()[name], weight, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_this_machine_tells_what_is_free() -> None:
    import torch

    free = free_bytes(torch.device("cpu"))

    assert free is not None
    assert free_bytes(torch.device("cpu"), processes=2) == pytest.approx(free / 2, rel=0.2)


MEASURED = """
import resource, sys
from pathlib import Path
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from errorbook.train import TrainSection
from errorbook.adapters.trainers.batches import TokenRow
from errorbook.adapters.trainers.job import Job
from errorbook.adapters.trainers.memory import estimate_memory
from errorbook.adapters.trainers.distilling import OwnText
from errorbook.adapters.trainers.preparing import copy_values, prepare_model
from errorbook.adapters.trainers.stepping import quicken
from errorbook.adapters.trainers.updating import update

method, dtype, rows, recompute = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "recompute"
distilled = sys.argv[4] == "distilled"
folder = Path(sys.argv[5])
if not folder.exists():
    config = LlamaConfig(vocab_size=2000, hidden_size=256, intermediate_size=704, num_hidden_layers=6,
                         num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=512)
    LlamaForCausalLM(config).save_pretrained(folder)
recipe = TrainSection(method=method, rank=8, objective="self_distill" if distilled else "sft").recipe(0)

def job(count, length):
    model = prepare_model(str(folder), "cpu", dtype, recipe, None)
    quicken(model, "cpu")
    row = [TokenRow(tuple(range(3 + n, 3 + n + length)), length // 2) for n in range(count)]
    made = Job(model=model, rows=row, rejected=[None] * count, steps=[list(range(count))], recipe=recipe,
               dtype=dtype, state=Path(), at_once=count)
    made.optimizer = torch.optim.AdamW(made.weights().values(), lr=1e-3, fused=True)
    if recompute:
        made.recompute()
    if distilled:
        asked = [one.ids[:one.prompt] for one in row]
        texts = [list(one.ids[one.prompt:]) for one in row]
        made.own = OwnText(asked, asked, [len(text) for text in texts], frozenset([1]), copy_values(model), {0: texts})
    return made

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

update(job(1, 8), 0)  # what PyTorch takes for itself the first time is not the training's
made = job(rows, 320)
told = estimate_memory(made.model, made.rows, dtype, distilled=distilled)
before = resident()
Path("/proc/self/clear_refs").write_text("5")
update(made, 0)
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(told.total(rows, recomputed=recompute) - told.weights, int(peak) * 1024 - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize(
    "case", ["lora float32 8 keep", "full float32 8 keep", "lora float32 16 recompute", "lora float32 8 distilled"]
)
def test_the_estimate_is_near_the_measured_peak(case: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEASURED, *case.split(), str(tmp_path / "model")]
    # Every larger tensor gets pages of its own, so that what is freed is not counted on.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    reply = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=environment)
    told, measured = map(int, reply.stdout.split())

    assert told == pytest.approx(measured, rel=0.3)
