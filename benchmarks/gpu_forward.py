"""Is the quick forward pass right on this device? Losses and gradients against those of PEFT's and transformers' own.

Three ways compute the same lessons with the same adapter: float32 by the libraries' own code (the reference), bfloat16
by the same code, and bfloat16 by ours. Ours keeps its promise if it is no farther from the reference than theirs, but
for a margin: both round, and one rounds as well as the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.gpu_machine import free, peak_gb
from benchmarks.gpu_models import SHORT, TINY, Row, Rows, Setting, config_of, random_model, random_rows
from errorbook.adapters.trainers.batches import TokenRow
from errorbook.adapters.trainers.lean_lora import make_lean
from errorbook.adapters.trainers.packing import attend_packed, pack
from errorbook.adapters.trainers.stepping import log_probabilities, loss_of

MARGIN = 1.25
"""How much farther from the reference than the libraries' own way ours may be; the error of rounding varies so much."""
WAYS = ("libraries", "lean", "packed", "quick")
_KERNELS = ("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION", "MATH")


def compare(setting: Setting) -> Rows:
    """Both shapes: the error of each way, and whether ours is within the margin; then which kernels take our call."""
    for shape, count in (("135M", 8), ("1.5B", 4)):
        rows = random_rows(config_of(shape, small=setting.small).vocab_size, count, TINY if setting.small else SHORT)
        reference = _compute(adapted(shape, setting, "float32"), rows, "float32")
        free(setting)
        errors: dict[str, Row] = {}
        for way in WAYS:
            model = adapted(shape, setting, "bfloat16")
            change(model, way)
            errors[way] = _errors(_compute(model, rows, "bfloat16"), reference)
            del model
            found = {"name": f"{shape}, {way}", **errors[way], "peak_gb": peak_gb(setting)}
            if way != "libraries":
                found["ok"] = _is_as_near(errors[way], errors["libraries"])
            yield found
            free(setting)
    yield from _kernels(setting)


def adapted(shape: str, setting: Setting, dtype: str) -> Any:
    """A random model with a random adapter of rank 32 that does something; its weights are bfloat16 numbers always."""
    import torch
    from peft import LoraConfig, get_peft_model

    base = random_model(shape, setting, "bfloat16").to(getattr(torch, dtype))
    torch.manual_seed(1)
    model = get_peft_model(base, LoraConfig(r=32, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()
                if "lora_B" in name:
                    weight.normal_(std=0.02)
    return model.train()


def change(model: Any, way: str) -> None:
    """Have the model compute in one of the ways."""
    if way in {"lean", "quick"}:
        make_lean(model)
    if way in {"packed", "quick"}:
        attend_packed(model.get_base_model())


def _compute(model: Any, rows: Sequence[TokenRow], dtype: str) -> tuple[float, Any, Any]:
    """The mean loss of a token, each row's log-probability, and all gradients as one vector."""
    import torch

    total, tokens = loss_of(model, rows, dtype)
    (total / tokens).backward()  # type: ignore[no-untyped-call]
    gradients = [weight.grad.flatten().cpu() for weight in model.parameters() if weight.grad is not None]
    with torch.no_grad():
        likely = log_probabilities(model, rows, dtype).cpu()
    return float(total.detach()) / tokens, likely, torch.cat(gradients)


def _errors(found: tuple[float, Any, Any], reference: tuple[float, Any, Any]) -> Row:
    """Relative errors of the loss and the gradients, and the largest of a row's log-probability (nats)."""
    return {
        "loss": found[0],
        "loss_error": abs(found[0] / reference[0] - 1),
        "row_error": float((found[1] - reference[1]).abs().max()),
        "gradient_error": float((found[2] - reference[2]).norm() / reference[2].norm()),
    }


def _is_as_near(ours: Row, theirs: Row) -> bool:
    """The gradients decide; a loss is one number whose error can be zero by luck, so it gets an absolute margin."""
    near = ours["gradient_error"] <= MARGIN * theirs["gradient_error"]
    return bool(near and ours["loss_error"] <= max(MARGIN * theirs["loss_error"], 1e-3))


def _kernels(setting: Setting) -> Rows:
    """Which of PyTorch's attention kernels take the call of a packed pass, there and back; a CPU uses none."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if setting.device == "cpu":
        return

    rows = random_rows(290, 4, TINY if setting.small else SHORT)
    model = adapted("135M", setting, "bfloat16")
    change(model, "quick")
    shape = list(pack(rows, setting.device).layout.hidden.shape)
    for name in _KERNELS:
        try:
            with sdpa_kernel([getattr(SDPBackend, name)]):
                loss_of(model, rows, "bfloat16")[0].backward()  # type: ignore[no-untyped-call]
            taken, said = True, ""
        except RuntimeError as error:
            taken, said = False, str(error).splitlines()[0][:120]
        yield {"name": f"kernel {name.lower()}", "takes_packed": taken, "mask": shape, "said": said}
