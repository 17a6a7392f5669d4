"""The cluster: a real one of several nodes on this machine, with nodes killed while they work.

Each test says how many nodes it wants. They have one processor each; the head has none, so that it only directs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from places import EXAMPLES
from recipe_kit import child_of, recipe_of

from errorbook.adapters.ray.parcels import pack, unpack
from errorbook.adapters.ray.ray_cluster import Compute, connect, disconnect
from errorbook.adapters.ray.ray_scorer import ray_scorer
from errorbook.adapters.ray.ray_target import ray_target
from errorbook.adapters.ray.ray_trainer import ray_trainer
from errorbook.adapters.ray.train_worker import Errand, train
from errorbook.adapters.scorers.code import Code
from errorbook.adapters.scorers.numeric import Numeric
from errorbook.adapters.targets.scripted import ScriptedTarget
from errorbook.adapters.tasks.arithmetic import Arithmetic
from errorbook.adapters.trainers.scripted import ScriptedTrainer
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.config import parse
from errorbook.errors import ConfigError, ModelError, StageError
from errorbook.evaluate import evaluate, identify
from errorbook.interfaces import BlockTarget, Likelihood, Paced
from errorbook.ledger.file import open_ledger
from errorbook.loop import run
from errorbook.records import Checkpoint, Completion, Example, Generation, Lesson

pytest.importorskip("ray")

OBJECTS = 100 << 20
SETTINGS = Generation(max_new_tokens=20)
BLOCKS = [[f"Calculate {row} + {column}." for column in range(10)] for row in range(8)]
BASE = Checkpoint(base="scripted", base_fingerprint="f")
LESSONS = [
    Lesson(prompt=f"Calculate {number} + {number}.", completion=f"Answer: {2 * number}", source=f"s{number}")
    for number in range(24)
]

# Plugins that go wrong as no built-in does, installed for the cluster's processes and for this one.
FAULTS = """
import os
from errorbook.errors import ModelError
from errorbook.adapters.targets.scripted import ScriptedTarget


class Dying(ScriptedTarget):
    def generate(self, prompts, settings):
        os._exit(1)


class Unlike(ScriptedTarget):
    @property
    def fingerprint(self):
        return f"process {os.getpid()}"


class Unloadable(ScriptedTarget):
    def generate(self, prompts, settings):
        raise ModelError("There is no such model; name another.")


class Faulty(ScriptedTarget):
    def generate(self, prompts, settings):
        raise KeyError("a slip of the programmer")
"""
ENTRIES = "".join(f"{name.lower()} = faults:{name}\n" for name in ("Dying", "Unlike", "Unloadable", "Faulty"))


class Nodes:
    """The cluster's nodes with a processor; the test has as many as it asks for."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._alive: list[Any] = []

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def have(self, number: int) -> None:
        while len(self._alive) < number:
            self._alive.append(self._cluster.add_node(num_cpus=1, object_store_memory=OBJECTS))
        while len(self._alive) > number:
            self.kill()
        # A training that begins before a dead node is noticed asks for room on it, and waits for that for two minutes.
        self._cluster.wait_for_nodes()

    def kill(self, node: str = "") -> None:
        """Kill a node's processes, as when its machine loses power: the one with this id, else the oldest."""
        place = next((place for place, each in enumerate(self._alive) if each.node_id == node), 0)
        self._cluster.remove_node(self._alive.pop(place), allow_graceful=False)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    from ray.cluster_utils import Cluster

    site = tmp_path_factory.mktemp("site")
    (site / "faults.py").write_text(FAULTS)
    info = site / "faults-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faults\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[errorbook.targets]\n{ENTRIES}")
    # Short, because the paths of sockets must be.
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="eb-", dir="/tmp") as folder:
        patch.setenv("PYTHONPATH", str(site))
        patch.syspath_prepend(str(site))
        patch.setenv("ERRORBOOK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Ray notes the cluster's address for the whole machine. Here it does so in a folder that goes with the test,
        # and that Ray expects to be there.
        patch.setenv("RAY_TMPDIR", folder)
        Path(folder, "ray").mkdir()
        head = {
            "num_cpus": 0,
            "object_store_memory": OBJECTS,
            "include_dashboard": False,
            "temp_dir": folder,
            # A dead node is noticed after 3 seconds, not 15, and the processes do not wait for those of other tests.
            "_system_config": {
                "health_check_period_ms": 1000,
                "health_check_failure_threshold": 3,
                "worker_niceness": 0,
            },
        }
        cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        try:
            connect(Compute(address=cluster.address))
            yield Nodes(cluster)
        finally:
            disconnect()
            cluster.shutdown()


def scripted(nodes: Nodes, name: str = "scripted", **options: Any) -> Any:
    return ray_target(name, options, Compute(address=nodes.address))


def local(blocks: Sequence[Sequence[str]] = BLOCKS, **options: Any) -> dict[int, list[Completion]]:
    target = ScriptedTarget(**options)
    return {number: list(target.generate(block, SETTINGS)) for number, block in enumerate(blocks)}


def collected(blocks: Iterator[tuple[int, Sequence[Completion]]]) -> dict[int, list[Completion]]:
    """The completions by block; a block that came twice is one too many."""
    found: dict[int, list[Completion]] = {}
    for number, completions in blocks:
        assert number not in found
        found[number] = list(completions)
    return found


def test_an_address_where_nothing_answers_is_one_sentence() -> None:
    disconnect()
    with pytest.raises(ConfigError, match="No Ray cluster answers at"):
        connect(Compute(address="127.0.0.1:1"))


# Evaluation ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_cluster_answers_as_this_machine_does(nodes: Nodes) -> None:
    nodes.have(2)
    target, alone = scripted(nodes), ScriptedTarget()
    try:
        assert all(isinstance(target, protocol) for protocol in (BlockTarget, Likelihood, Paced))
        assert target.fingerprint == alone.fingerprint
        assert target.base == alone.base
        assert collected(target.generate_blocks(BLOCKS, SETTINGS)) == local()
        assert target.embed(BLOCKS[0]).tolist() == alone.embed(BLOCKS[0]).tolist()
        prompts = [prompt for block in BLOCKS for prompt in block]
        options = [["1", "2", "3"]] * len(prompts)
        assert dict(target.log_likelihoods(prompts, options)) == dict(alone.log_likelihoods(prompts, options))
    finally:
        target.close()


@pytest.mark.slow
def test_an_evaluation_on_a_cluster_has_the_same_responses(nodes: Nodes) -> None:
    nodes.have(2)
    task, scorer, target, alone = Arithmetic(), Numeric(), scripted(nodes), ScriptedTarget()
    examples = task.examples("dev", 300, 0)
    found = []
    try:
        for each in (target, alone):
            evaluation = identify(each, BASE.hash, task, "dev", examples)
            blocks = list(evaluate(each, task, scorer, evaluation, examples))
            found.append({response.example: response for block in blocks for response in block})
            assert sum(map(len, blocks)) == len(examples)
    finally:
        target.close()

    assert found[0] == found[1]


@pytest.mark.slow
def test_the_checkpoint_under_test_is_sent_and_every_switch_counts(nodes: Nodes, tmp_path: Path) -> None:
    nodes.have(1)
    training = ScriptedTrainer().train(BASE, LESSONS, recipe_of(), tmp_path, lambda done, total: None)
    trained = Checkpoint(
        base="scripted",
        base_fingerprint="f",
        method="lora",
        form="adapter",
        folder=training.folder,
        weights_hash=training.weights_hash,
    )
    target, alone = scripted(nodes, gain=0.5), ScriptedTarget(gain=0.5)
    try:
        for checkpoint in (trained, BASE, trained):
            target.use(checkpoint, tmp_path)
            alone.use(checkpoint, tmp_path)
            assert list(target.generate(BLOCKS[0], SETTINGS)) == list(alone.generate(BLOCKS[0], SETTINGS))
        assert list(target.generate(BLOCKS[0], SETTINGS)) != local(BLOCKS[:1])[0]
        with pytest.raises(ModelError, match="weights are missing"):
            target.use(trained, tmp_path / "elsewhere")
    finally:
        target.close()


@pytest.mark.slow
def test_a_node_killed_in_the_middle_of_an_evaluation_costs_no_response(nodes: Nodes) -> None:
    nodes.have(2)
    target = scripted(nodes, delay=0.05)
    found: dict[int, list[Completion]] = {}
    try:
        for number, completions in target.generate_blocks(BLOCKS, SETTINGS):
            assert number not in found
            found[number] = completions
            if len(found) == 2:
                nodes.kill()
        assert found == local()
    finally:
        target.close()


@pytest.mark.slow
def test_workers_that_die_again_and_again_are_one_clear_error(nodes: Nodes) -> None:
    nodes.have(1)
    target = scripted(nodes, "dying")
    try:
        with pytest.raises(StageError, match="lost 3 workers in a row without finishing anything"):
            list(target.generate(["1 + 1"], SETTINGS))
    finally:
        target.close()


@pytest.mark.slow
def test_what_a_worker_raises_is_raised_here(nodes: Nodes) -> None:
    nodes.have(1)
    for name, error, words in (
        ("unloadable", ModelError, "There is no such model; name another"),
        ("faulty", StageError, "KeyError: 'a slip of the programmer'"),
    ):
        target = scripted(nodes, name)
        try:
            with pytest.raises(error, match=words):
                list(target.generate(["1 + 1"], SETTINGS))
        finally:
            target.close()


@pytest.mark.slow
def test_workers_whose_answers_could_not_be_compared_are_refused(nodes: Nodes) -> None:
    nodes.have(2)
    target = scripted(nodes, "unlike", delay=0.05)
    try:
        with pytest.raises(ConfigError, match="other weights, number formats or versions"):
            list(target.generate_blocks(BLOCKS, SETTINGS))
    finally:
        target.close()


# The sandbox ---------------------------------------------------------------------------------------------------------


def programs() -> list[tuple[Example, str]]:
    """Twenty pairs, every third program of which is wrong."""
    return [
        (
            Example(
                id=str(number),
                task="mbpp",
                split="train",
                question=f"def add_{number}(a):\n    '''Adds {number}.'''\n",
                answer="",
                tests=f"assert add_{number}(1) == {number + 1}",
            ),
            f"def add_{number}(a):\n    return a + {number if number % 3 else 0}\n",
        )
        for number in range(1, 21)
    ]


@pytest.mark.slow
def test_programs_are_judged_on_all_nodes_in_their_order(nodes: Nodes) -> None:
    nodes.have(2)
    pairs = programs()
    scorer: Any = ray_scorer("code", {"workers": 1}, Compute(address=nodes.address))
    try:
        scores = scorer.score_all(pairs)
        assert [score.verdict for score in scores] == [
            "right" if number % 3 else "wrong" for number in range(1, len(pairs) + 1)
        ]
        assert scores[:3] == Code(workers=1).score_all(pairs[:3])
        assert scorer.score(*pairs[0]) == scores[0]
        assert scorer.name == "code"
    finally:
        scorer.close()


def test_a_scorer_that_a_cluster_cannot_help_stays_here() -> None:
    assert isinstance(ray_scorer("numeric", {}, Compute()), Numeric)


# Training ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_training_on_a_cluster_is_the_same_training(nodes: Nodes, tmp_path: Path) -> None:
    nodes.have(1)
    trainer = ray_trainer("scripted", {}, Compute(address=nodes.address))
    told: list[tuple[int, int]] = []

    training = trainer.train(BASE, LESSONS, recipe_of(), tmp_path / "there", lambda *now: told.append(now))

    here = ScriptedTrainer().train(BASE, LESSONS, recipe_of(), tmp_path / "here", lambda done, total: None)
    assert training == here
    assert pack(tmp_path / "there" / training.folder).files[0][1].tobytes() == (
        pack(tmp_path / "here" / here.folder).files[0][1].tobytes()
    )
    assert told[-1] == (training.steps, training.steps)
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["checkpoints"]


@pytest.mark.slow
def test_what_a_training_raises_is_raised_here_at_once(nodes: Nodes, tmp_path: Path) -> None:
    nodes.have(1)
    trainer = ray_trainer("scripted", {}, Compute(address=nodes.address))

    with pytest.raises(StageError, match="no lesson to train on"):
        trainer.train(BASE, [], recipe_of(), tmp_path, lambda done, total: None)


@pytest.mark.slow
def test_a_node_killed_in_the_middle_of_a_training_changes_nothing(
    nodes: Nodes, tiny_model: Path, tmp_path: Path
) -> None:
    from ray.util import placement_group_table

    nodes.have(2)
    options: dict[str, Any] = {"model": str(tiny_model), "device": "cpu", "dtype": "float32"}
    recipe = recipe_of(rank=4, alpha=8, learning_rate=1e-3, epochs=100.0, batch_size=8)
    killed_at: list[int] = []

    def disturb(done: int, total: int) -> None:
        if done >= 30 and not killed_at:
            groups: dict[str, Any] = placement_group_table()
            (at_work,) = [group for group in groups.values() if group["state"] == "CREATED"]
            nodes.kill(at_work["bundles_to_node_id"][0])
            assert not list(tmp_path.glob("there/checkpoints/*/training.json"))
            killed_at.append(done)

    compute = Compute(address=nodes.address, workers=1)
    training = ray_trainer("lora", options, compute).train(BASE, LESSONS, recipe, tmp_path / "there", disturb)

    calm = TransformersTrainer(**options).train(BASE, LESSONS, recipe, tmp_path / "here", lambda done, total: None)
    assert killed_at
    assert killed_at[0] < training.steps
    assert training == calm


def test_a_result_that_the_driver_cannot_see_is_sent_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRORBOOK_CACHE", str(tmp_path / "worker"))
    driver, calm = tmp_path / "driver", tmp_path / "calm"
    parent = BASE
    for _ in range(2):  # the second training goes on from the first one's weights, which the worker has to be sent
        errand = Errand("scripted", {}, parent, tuple(LESSONS), recipe_of(), str(driver), marker="none")
        training, root = train(errand, False, lambda folder: pack(Path(folder)), lambda done, total: None)
        assert root != driver
        unpack(pack(root / training.folder), driver / training.folder)

        here = ScriptedTrainer().train(parent, LESSONS, recipe_of(), calm, lambda done, total: None)
        assert training == here
        parent = child_of(parent, here)
    assert sorted(path.name for path in (driver / "checkpoints").iterdir()) == sorted(
        path.name for path in (calm / "checkpoints").iterdir()
    )


# Sending folders -----------------------------------------------------------------------------------------------------


def test_a_folder_arrives_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "from" / "deep").mkdir(parents=True)
    (tmp_path / "from" / "a.bin").write_bytes(bytes(range(256)))
    (tmp_path / "from" / "deep" / "empty").touch()
    parcel = pack(tmp_path / "from")

    unpack(parcel, tmp_path / "to" / "it")
    unpack(parcel, tmp_path / "to" / "it")  # another process was quicker

    assert (tmp_path / "to" / "it" / "a.bin").read_bytes() == bytes(range(256))
    assert (tmp_path / "to" / "it" / "deep" / "empty").read_bytes() == b""
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["it"]
    with pytest.raises(ModelError, match="weights are missing"):
        pack(tmp_path / "nowhere")


@pytest.mark.slow
def test_a_whole_run_on_the_cluster_holds_what_one_on_this_machine_does(nodes: Nodes, tmp_path: Path) -> None:
    nodes.have(2)
    text = (EXAMPLES / "scripted.toml").read_text(encoding="utf-8").replace("cycles = 2", "cycles = 1")
    far = f'{text}\n[compute]\nengine = "ray"\naddress = "{nodes.address}"\n'
    digests = []
    for name, config in (("near", parse(text)), ("far", parse(far))):
        run(config, tmp_path / name)
        with open_ledger(tmp_path / name / "ledger.sqlite") as ledger:
            digests.append(ledger.digest())
    assert digests[0] == digests[1]
