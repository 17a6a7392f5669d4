"""A linear layer with a LoRA adapter as one step of automatic differentiation: fewer passes over memory.

Computes what PEFT's layer computes, in the base weight's number format, and adds the adapter's part into the same
matrix; on the way back likewise. About a third of a training step on a CPU goes to copies that this leaves out.
Layers that are not plain (dropout, 4-bit bases, variants of LoRA) keep PEFT's own way. Used on a CPU only; see
`stepping.quicken`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_ADAPTER = "default"


def make_lean(model: Any) -> int:
    """Give every plain LoRA layer of the model the lean way to compute; returns how many there are."""
    layers = [layer for layer in model.modules() if _is_plain(layer)]
    for layer in layers:
        layer.forward = _forward(layer)
    return len(layers)


def _is_plain(layer: Any) -> bool:
    """Whether this is PEFT's ordinary LoRA layer around an ordinary linear layer, with one adapter and no dropout."""
    import torch

    base = getattr(layer, "base_layer", None)
    if type(base) is not torch.nn.Linear or set(getattr(layer, "lora_A", ())) != {_ADAPTER}:
        return False
    adapters = (layer.lora_A[_ADAPTER], layer.lora_B[_ADAPTER])
    plain = all(type(part) is torch.nn.Linear and part.bias is None for part in adapters)
    variant = getattr(layer, "lora_variant", None) or getattr(layer, "use_dora", {}).get(_ADAPTER)
    return plain and isinstance(layer.lora_dropout[_ADAPTER], torch.nn.Identity) and not variant


def _forward(layer: Any) -> Callable[..., torch.Tensor]:
    base, down, up = layer.base_layer, layer.lora_A[_ADAPTER], layer.lora_B[_ADAPTER]
    apply = _function().apply

    def forward(inputs: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        fixed = (base.weight, base.bias, layer.scaling[_ADAPTER])
        flat: torch.Tensor = apply(inputs.reshape(-1, inputs.shape[-1]), fixed, down.weight, up.weight)
        # Shaped out here: models may add to the result in place, which PyTorch forbids for a view made inside.
        return flat.view(*inputs.shape[:-1], -1)

    return forward


@cache
def _function() -> Any:
    """The differentiable function, made on first use: PyTorch is not imported before."""
    import torch

    class AdaptedLinear(torch.autograd.Function):
        """y = x W' + bias + s (x A') B', where ' is the transpose; W, bias and s are fixed, A and B are trained."""

        @staticmethod
        def forward(
            ctx: Any, inputs: torch.Tensor, fixed: tuple[Any, Any, float], down: torch.Tensor, up: torch.Tensor
        ) -> torch.Tensor:
            weight, bias, scaling = fixed
            flat = inputs.to(weight.dtype)
            down, up = down.to(weight.dtype), up.to(weight.dtype)
            inner = flat @ down.T
            result = flat @ weight.T if bias is None else torch.addmm(bias, flat, weight.T)
            result.addmm_(inner, up.T, alpha=scaling)
            ctx.save_for_backward(flat, inner, down, up)
            ctx.weight, ctx.scaling, ctx.dtype = weight, scaling, inputs.dtype
            return result

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            flat, inner, down, up = ctx.saved_tensors
            gradient = gradients[0]
            through = gradient @ up
            back = None
            if ctx.needs_input_grad[0]:
                back = (gradient @ ctx.weight).addmm_(through, down, alpha=ctx.scaling).to(ctx.dtype)
            of_down = torch.addmm(down, through.T, flat, beta=0, alpha=ctx.scaling).float()
            of_up = torch.addmm(up, gradient.T, inner, beta=0, alpha=ctx.scaling).float()
            return back, None, of_down, of_up

    return AdaptedLinear
