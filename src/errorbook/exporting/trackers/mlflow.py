"""MLflow as a sink: one of its runs for each run here, found again by a tag."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from errorbook.errors import PluginError
from errorbook.files import require_place

_TAG = "errorbook.run"


class MlflowSink:
    """Implements `Sink`. `uri` is the tracking server or store; if it is not given, MLflow's own setting."""

    def __init__(self, run: str = "errorbook", identity: str = "", project: str = "errorbook", uri: str = "") -> None:
        place = uri.removeprefix("sqlite:///")
        if place and "://" not in place:  # a store on this machine, which the library makes
            require_place(Path(place))
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise PluginError("The sink 'mlflow' needs its library: pip install 'errorbook[mlflow]'.") from None
        self._client: Any = MlflowClient(tracking_uri=uri or None)
        experiment = self._client.get_experiment_by_name(project)
        held = experiment.experiment_id if experiment else self._client.create_experiment(project)
        known = self._client.search_runs([held], filter_string=f"tags.`{_TAG}` = '{identity}'", max_results=1)
        found = known[0] if known else self._client.create_run(held, run_name=run, tags={_TAG: identity})
        self._run: str = found.info.run_id
        self._last = 0

    def write(self, metrics: Mapping[str, float], step: int) -> None:
        """Log one step."""
        from mlflow.entities import Metric

        now, self._last = int(time.time() * 1000), step
        self._client.log_batch(self._run, metrics=[Metric(key, value, now, step) for key, value in metrics.items()])

    def finish(self, summary: Mapping[str, float]) -> None:
        """Log the summary under names of its own, and end the run."""
        self.write({f"summary/{key}": value for key, value in summary.items()}, self._last)
        self._client.set_terminated(self._run)
