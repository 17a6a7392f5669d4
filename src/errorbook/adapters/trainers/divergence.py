"""How far two models' next tokens are apart, and the slope of that for the one that learns.

The slope is written out instead of left to automatic differentiation, and both are computed some tokens at a time: of
everything that has a number for each word of the vocabulary, only the logits of both and one slope are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from errorbook.records import Divergence

if TYPE_CHECKING:
    import torch

_AT_ONCE = 128  # tokens: a table of so many rows is some ten megabytes, and a larger one is no quicker


def sum_divergence(student: torch.Tensor, teacher: torch.Tensor, kind: Divergence) -> torch.Tensor:
    """The divergence of the next-token distributions, in nats, summed over the tokens; ready for `backward`.

    Both logits have the shape (tokens, vocabulary); only the student's get a slope. With p the teacher's probabilities
    and q the student's, "forward" is KL(p, q), "reverse" is KL(q, p), and "jensen_shannon" the mean of KL(p, m) and
    KL(q, m) with m their mean, as in Agarwal et al. 2024 (arXiv 2306.13649, section 2) at a weight of one half.
    """
    found: torch.Tensor = _function().apply(student, teacher, kind)
    return found


def measure(student: torch.Tensor, teacher: torch.Tensor, kind: Divergence) -> tuple[torch.Tensor, torch.Tensor]:
    """The divergence of each token, and its slope by the student's logits: shapes (tokens,), (tokens, vocabulary)."""
    return _KINDS[kind](student.float().log_softmax(-1), teacher.float().log_softmax(-1))


def _forward(q: torch.Tensor, p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    likely = p.exp()
    return (likely * (p - q)).sum(-1), q.exp() - likely


def _reverse(q: torch.Tensor, p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    likely, apart = q.exp(), q - p
    found = (likely * apart).sum(-1)
    return found, likely * (apart - found[:, None])


def _jensen_shannon(q: torch.Tensor, p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    middle = torch.logaddexp(q, p) - torch.log(torch.tensor(2.0, device=q.device))
    own, slope = _reverse(q, middle)
    others = (p.exp() * (p - middle)).sum(-1)
    return (own + others) / 2, slope / 2


_KINDS: dict[Divergence, Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]] = {
    "forward": _forward,
    "reverse": _reverse,
    "jensen_shannon": _jensen_shannon,
}


@cache
def _function() -> Any:
    """The differentiable function, made on first use: PyTorch is not imported before."""
    import torch

    class Divergences(torch.autograd.Function):
        """The sum over all tokens; the slope is computed on the way and kept in the logits' own number format."""

        @staticmethod
        def forward(ctx: Any, student: torch.Tensor, teacher: torch.Tensor, kind: Divergence) -> torch.Tensor:
            total, slopes = torch.zeros((), device=student.device), torch.empty_like(student)
            for start in range(0, len(student), _AT_ONCE):
                part = slice(start, start + _AT_ONCE)
                found, slope = measure(student[part], teacher[part], kind)
                total += found.sum()
                slopes[part] = slope
            ctx.save_for_backward(slopes)
            return total

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            (slopes,) = ctx.saved_tensors
            return slopes * gradients[0], None, None

    return Divergences
