"""Trackio as a sink: one of its runs for each run here, on this machine or in a Space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from errorbook.errors import PluginError


class TrackioSink:
    """Implements `Sink`. `space` is the Space to send to, as owner/name; if it is not given, this machine."""

    def __init__(self, run: str = "errorbook", identity: str = "", project: str = "errorbook", space: str = "") -> None:
        try:
            import trackio
        except ImportError:
            raise PluginError("The sink 'trackio' needs its library: pip install 'errorbook[trackio]'.") from None
        self._trackio: Any = trackio
        name = f"{run}-{identity[:6]}" if identity else run  # it finds a run again by its name alone
        trackio.init(project=project, name=name, resume="allow", space_id=space or None)

    def write(self, metrics: Mapping[str, float], step: int) -> None:
        """Log one step."""
        self._trackio.log(dict(metrics), step=step)

    def finish(self, summary: Mapping[str, float]) -> None:
        """Log the summary under names of its own, and wait until all is sent."""
        self._trackio.log({f"summary/{key}": value for key, value in summary.items()})
        self._trackio.finish()
