"""Wall time of an evaluation on one node of a Ray cluster over that on two, with everything that a run does.

    python -m benchmarks.scale_ray [--json] [--items 1024] [--delay 0.02]

The scripted target waits a fixed time for each item, so the ratio shows what the cluster costs and not what a model
does with fewer threads; two nodes have to be at least 1.9 times as fast as one. The nodes are processes of this
machine with one processor each. Each side is warm before it is measured: starting Ray's processes is told apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from typing import Any

from errorbook.adapters.ray.ray_cluster import Compute, connect, disconnect, require
from errorbook.adapters.ray.ray_target import ray_target
from errorbook.adapters.scorers.numeric import Numeric
from errorbook.adapters.tasks.arithmetic import Arithmetic
from errorbook.evaluate import evaluate, identify

OBJECTS = 100 << 20
MUST = 1.9


def main() -> int:
    """Measure, print, and return 1 if two nodes are not fast enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--items", type=int, default=1024)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds an item")
    options = parser.parse_args()
    found = measure(options.items, options.delay)
    found["ratio"] = found["one_node_s"] / found["two_nodes_s"]
    if options.json:
        print(json.dumps(found))
    else:
        print("| what | value |\n|---|---|")
        for name, value in found.items():
            print(f"| {name} | {value:.2f} |")
    return int(found["ratio"] < MUST)


def measure(items: int, delay: float) -> dict[str, float]:
    """Seconds on one node and on two, and to start the workers of both."""
    cluster_utils = require("ray.cluster_utils")
    with tempfile.TemporaryDirectory(prefix="eb-", dir="/tmp") as folder:
        head = {"num_cpus": 0, "object_store_memory": OBJECTS, "include_dashboard": False, "temp_dir": folder}
        cluster: Any = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=1, object_store_memory=OBJECTS)
            connect(Compute(address=cluster.address))
            one, first = timed(Compute(address=cluster.address, workers=1), items, delay)
            two, second = timed(Compute(address=cluster.address, workers=2), items, delay)
        finally:
            disconnect()
            cluster.shutdown()
    return {"items": items, "delay_s": delay, "one_node_s": one, "two_nodes_s": two, "starting_s": first + second}


def timed(compute: Compute, items: int, delay: float) -> tuple[float, float]:
    """Seconds of one evaluation, and of starting its workers before."""
    task, scorer = Arithmetic(), Numeric()
    examples = task.examples("train", items, 0)
    target = ray_target("scripted", {"delay": delay}, compute)
    try:
        begun = time.perf_counter()
        evaluation = identify(target, "base", task, "train", examples)
        list(evaluate(target, task, scorer, evaluation, examples))  # all workers are there after it
        start = time.perf_counter()
        responses = [item for block in evaluate(target, task, scorer, evaluation, examples) for item in block]
        seconds = time.perf_counter() - start
    finally:
        target.close()
    if len({response.example for response in responses}) != len(examples):
        raise SystemExit("Some responses are missing.")
    return seconds, start - begun - seconds


if __name__ == "__main__":
    sys.exit(main())
