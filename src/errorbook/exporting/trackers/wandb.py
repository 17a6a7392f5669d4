"""Weights & Biases as a sink: one of its runs for each run here, gone on with where this one is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from errorbook.errors import PluginError


class WandbSink:
    """Implements `Sink`. The key is the library's own business: `wandb login`, or WANDB_API_KEY."""

    def __init__(
        self,
        run: str = "errorbook",
        identity: str = "",
        folder: str = "",
        project: str = "errorbook",
        entity: str = "",
        mode: Literal["online", "offline", "disabled"] = "online",
    ) -> None:
        try:
            import wandb
        except ImportError:
            raise PluginError("The sink 'wandb' needs its library: pip install 'errorbook[wandb]'.") from None
        self._run: Any = wandb.init(
            project=project,
            entity=entity or None,
            name=run,
            id=identity or None,
            resume="allow",
            mode=mode,
            dir=folder or None,
        )

    def write(self, metrics: Mapping[str, float], step: int) -> None:
        """Log one step."""
        self._run.log(dict(metrics), step=step)

    def finish(self, summary: Mapping[str, float]) -> None:
        """Put the summary beside the run, and wait until all is sent."""
        self._run.summary.update(dict(summary))
        self._run.finish()
