"""The run's TOML as typed sections, one per stage. Every mistake in it is one sentence with the fix.

Keys that a section does not know are options of its plugin, checked against the plugin itself. Only `loop` and the
CLI see the whole `Config`; a stage receives its own values.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from errorbook import plugins
from errorbook.errors import ConfigError
from errorbook.records import Method, Recipe, Role

Strategy = Literal["error", "contrast", "cluster", "undirected"]
SCORER_FILES = ("path", "labelled", "store")
"""Options of a scorer that name files; relative ones are taken from the run file's folder."""
SECTIONS = ("run", "target", "instructor", "tasks", "strategy", "verify", "train", "gate", "compute", "sinks")


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section: immutable and strict."""


class RunSection(Section, frozen=True, kw_only=True):
    """`[run]`: the run's name, its length, its seed and its dollar cap."""

    name: str
    cycles: int = 3
    seed: int = 0
    budget_usd: float | None = None


class TargetSection(Section, frozen=True, kw_only=True):
    """`[target]`: the model being improved; `options` go to the engine's plugin.

    The engine "auto" is the quickest one for this machine and model that is installed.
    """

    model: str = "smollm2-135m-instruct"
    engine: str = "auto"
    options: dict[str, Any] = {}


class InstructorSection(Section, frozen=True, kw_only=True):
    """`[instructor]`: who diagnoses and writes; `options` go to its plugin."""

    kind: str = "tutor"
    options: dict[str, Any] = {}


class TaskSection(Section, frozen=True, kw_only=True):
    """`[[tasks]]`: how many examples of each split are used, and what the gate asks of the task.

    `kind` names the plugin where it is not the task's own name. A guard's train examples are never shown to the
    instructor: its right responses are rehearsed. `scorer_options` go to the plugin of the task's scorer. A response
    ends with the first of the strings in `stop`: for models that go on after their answer.
    """

    name: str
    kind: str = ""
    role: Role = "learn"
    train: int = 200
    dev: int = 200
    test: int = 200
    margin: float = 0.05
    stop: tuple[str, ...] = ()
    scorer_options: dict[str, Any] = {}
    options: dict[str, Any] = {}

    @property
    def plugin(self) -> str:
        """Name of the task plugin."""
        return self.kind or self.name


class StrategySection(Section, frozen=True, kw_only=True):
    """`[strategy]`: what the instructor sees and how much it writes."""

    name: Strategy = "contrast"
    k: int = 3
    samples_per_error: int = 2
    max_samples: int = 3000
    rounds: int = 3
    retriever: str = "auto"
    options: dict[str, Any] = {}


class VerifySection(Section, frozen=True, kw_only=True):
    """`[verify]`: `answers = "trust"` skips the recomputation of answers (for ablations only).

    `ngram` is how many words in a row a sample may not share with a held-out question; 13 as in GPT-3's
    decontamination (Brown et al. 2020, appendix C). `votes` is how often the instructor solves a draft's question blind
    where the task cannot recompute its answer. `against` names tasks whose whole dev and test splits no sample may
    overlap with; where it is not given, these are all benchmarks below $ERRORBOOK_DATA.
    """

    answers: Literal["recompute", "trust"] = "recompute"
    near_duplicate: float = 0.8
    ngram: int = 13
    votes: int = 3
    against: tuple[str, ...] | None = None


class TrainSection(Section, frozen=True, kw_only=True):
    """`[train]`: the recipe; each of `scales` is one candidate that the gate may accept."""

    method: str = "lora"
    rank: int = 32
    alpha: int = 64
    learning_rate: float = 5e-4
    epochs: float = 2.0
    batch_size: int = 8
    warmup: float = 0.05
    weight_decay: float = 0.0
    max_tokens: int = 512
    replay: float = 0.15
    start: Literal["continue", "restart"] = "continue"
    objective: Literal["sft", "dpo"] = "sft"
    beta: float = 0.1
    scales: tuple[float, ...] = (1.0,)

    def recipe(self, seed: int) -> Recipe:
        """The recipe record of one training; a trainer with a name of its own is taken to train an adapter."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name not in {"scales", "method"}}
        method: Method = next((known for known in get_args(Method) if known == self.method), "lora")
        return Recipe(method=method, seed=seed, **fields)


class GateSection(Section, frozen=True, kw_only=True):
    """`[gate]`: the error rate of the whole run, shared by all cycles and candidates.

    `noise_floor` has the base asked a second time in other batches, so that a difference can be read beside what
    changes when nothing does.
    """

    alpha: float = 0.05
    noise_floor: bool = True


class ComputeSection(Section, frozen=True, kw_only=True):
    """`[compute]`: where the work is done; it changes how fast, not what comes out.

    `engine = "ray"` fans evaluation and the sandbox out over `workers` (0: one for each node or GPU) of the cluster at
    `address`, and trains there. `processes` trains on so many processes of this machine, sharing each batch ("ddp") or
    the weights as well ("fsdp"). `cache` takes up answers that the same weights gave to the same requests before.
    """

    engine: Literal["local", "ray"] = "local"
    address: str = ""
    workers: int = 0
    cpus_per_worker: int = 1
    gpus_per_worker: float = 0.0
    processes: int = 1
    strategy: Literal["ddp", "fsdp"] = "ddp"
    cache: bool = True


class SinkSection(Section, frozen=True, kw_only=True):
    """`[[sinks]]`: a tracker that is told the metrics as well; `options` go to its plugin. It changes no result."""

    kind: str
    options: dict[str, Any] = {}


class Config(Section, frozen=True, kw_only=True):
    """A whole run file."""

    run: RunSection
    target: TargetSection = TargetSection()
    instructor: InstructorSection = InstructorSection()
    tasks: tuple[TaskSection, ...] = ()
    strategy: StrategySection = StrategySection()
    verify: VerifySection = VerifySection()
    train: TrainSection = TrainSection()
    gate: GateSection = GateSection()
    compute: ComputeSection = ComputeSection()
    sinks: tuple[SinkSection, ...] = ()

    def learn(self) -> tuple[TaskSection, ...]:
        """The tasks that are learnt from."""
        return tuple(task for task in self.tasks if task.role == "learn")

    def guards(self) -> tuple[TaskSection, ...]:
        """The tasks that must not get worse."""
        return tuple(task for task in self.tasks if task.role == "guard")


def load(path: Path) -> Config:
    """Read and check a run file. Paths in options of tasks and scorers are taken from the file's own folder.

    Raises:
        ConfigError: The file is missing, not TOML, or wrong in any key.
        PluginError: It names a plugin that is not installed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"There is no run file '{path}'; 'errorbook init' writes one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The run file '{path}' cannot be read ({error}).") from None
    return parse(text, source=str(path), folder=path.parent)


def parse(text: str, source: str = "run file", folder: Path | None = None) -> Config:
    """Check a run file's text; see `load`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not valid TOML: {error}.") from None
    for key in data:
        if key not in SECTIONS:
            raise ConfigError(f"{source}: there is no section [{key}]; {_nearest(key, SECTIONS)}")
    try:
        config = msgspec.convert(_gather_options(data, source), Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_explain(error, data)}") from None
    return _check(_anchor(config, folder or Path()), source)


def dump(config: Config) -> str:
    """The configuration as canonical JSON: equal runs have equal text. Sinks stand there only where there are any."""
    return msgspec.json.encode(config, order="deterministic").decode().replace(',"sinks":[]}', "}")


_OPEN: dict[str, type[Section]] = {
    "target": TargetSection,
    "instructor": InstructorSection,
    "tasks": TaskSection,
    "strategy": StrategySection,
    "sinks": SinkSection,
}
_LISTS = {"tasks": "task", "sinks": "sink"}


def _gather_options(data: dict[str, Any], source: str) -> dict[str, Any]:
    """Move the keys that a section does not know into its `options`."""
    result = dict(data)
    for name, section in _OPEN.items():
        value = data.get(name)
        if name in _LISTS:
            if value is not None and not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
                raise ConfigError(f"{source}: {name} are written as [[{name}]], one block a {_LISTS[name]}.")
            result[name] = [_split(item, section) for item in value or []]
        elif isinstance(value, dict):
            result[name] = _split(value, section)
    return result


def _split(value: dict[str, Any], section: type[Section]) -> dict[str, Any]:
    fields = set(section.__struct_fields__) - {"options"}
    known = {key: item for key, item in value.items() if key in fields}
    return {**known, "options": {key: item for key, item in value.items() if key not in fields}}


def _check(config: Config, source: str) -> Config:
    doubled = [name for name, count in Counter(task.name for task in config.tasks).items() if count > 1]
    problems = [
        (not config.learn(), 'there is no task to learn from; add a [[tasks]] block with role = "learn".'),
        (bool(doubled), f"the task name '{doubled[0] if doubled else ''}' is used twice; give each task its own."),
        (config.run.cycles < 1, f"run.cycles is {config.run.cycles}; it must be at least 1."),
        (not 0 < config.gate.alpha < 1, f"gate.alpha is {config.gate.alpha}; it must lie between 0 and 1."),
        (not config.train.scales, "train.scales is empty; give at least one adapter scale, such as [1.0]."),
        (not 0 <= config.train.replay < 1, f"train.replay is {config.train.replay}; it is a share from 0 to below 1."),
        (config.train.batch_size < 1, "train.batch_size must be at least 1."),
        (config.train.epochs <= 0, "train.epochs must be above 0."),
        (config.strategy.samples_per_error < 1, "strategy.samples_per_error must be at least 1."),
        (config.strategy.k < 1, "strategy.k must be at least 1."),
        (config.run.budget_usd is not None and config.run.budget_usd < 0, "run.budget_usd must not be negative."),
        (not re.fullmatch(r"[\w.-]+", config.run.name), "run.name may hold letters, digits, '.', '_' and '-' only."),
    ]
    compute = config.compute
    problems += [
        (compute.engine == "ray" and compute.processes > 1, "compute.processes is for engine = 'local'; set workers."),
        (compute.processes < 1, "compute.processes must be at least 1."),
        (
            min(compute.workers, compute.cpus_per_worker, compute.gpus_per_worker) < 0,
            "workers, cpus_per_worker and gpus_per_worker of [compute] must not be negative.",
        ),
    ]
    for task in config.tasks:
        problems.append((task.margin <= 0 or task.margin >= 1, f"the margin of '{task.name}' must be between 0 and 1."))
        problems.append((min(task.train, task.dev, task.test) < 0, f"the sizes of '{task.name}' must not be negative."))
        problems.append(("" in task.stop, f"a stop of '{task.name}' is empty; take it out."))
        learns = task.role == "learn"
        problems.append((learns and min(task.train, task.dev) < 1, f"'{task.name}' needs train and dev examples."))
    for wrong, sentence in problems:
        if wrong:
            raise ConfigError(f"{source}: {sentence}")
    _check_plugins(config)
    return config


def _check_plugins(config: Config) -> None:
    plugins.check("targets", config.target.engine, config.target.options | {"model": config.target.model})
    plugins.check("instructors", config.instructor.kind, config.instructor.options)
    plugins.check("trainers", config.train.method, None)
    plugins.check("retrievers", config.strategy.retriever, None)
    for key in config.strategy.options:
        fields = [name for name in StrategySection.__struct_fields__ if name != "options"]
        raise ConfigError(f"[strategy] has no key '{key}'; {_nearest(key, fields)}")
    for sink in config.sinks:
        plugins.check("sinks", sink.kind, sink.options, also=("kind",))
    for task in config.tasks:
        plugins.check("tasks", task.plugin, task.options, also=TaskSection.__struct_fields__)


def _anchor(config: Config, folder: Path) -> Config:
    """Make relative paths in options relative to the run file, and a local model folder likewise."""
    tasks = tuple(
        msgspec.structs.replace(
            task,
            options=_located(task.options, ("path",), folder),
            scorer_options=_located(task.scorer_options, SCORER_FILES, folder),
        )
        for task in config.tasks
    )
    target = config.target
    if target.model.startswith((".", "~")):
        located = str((folder / Path(target.model).expanduser()).resolve())
        target = msgspec.structs.replace(target, model=located)
    return msgspec.structs.replace(config, tasks=tasks, target=target)


def _located(options: dict[str, Any], names: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """The options with those that name files made absolute; what is no text is left for its plugin to refuse."""
    files = {name: value for name, value in options.items() if name in names and isinstance(value, str) and value}
    relative = {name: value for name, value in files.items() if not Path(value).is_absolute()}
    return options | {name: str((folder / value).resolve()) for name, value in relative.items()}


def _explain(error: msgspec.ValidationError, data: dict[str, Any]) -> str:
    """Turn msgspec's message into a sentence that names the key and the fix."""
    message = str(error)
    where = re.search(r" - at `\$\.?(.*)`", message)
    place = re.sub(r"\[[^]]*\]", "", where.group(1)) if where else ""
    head = message.split(" - at ", maxsplit=1)[0]
    unknown = re.search(r"unknown field `(.*?)`", head)
    if unknown:
        section = _section(place)
        return f"[{place}] has no key '{unknown.group(1)}'; {_nearest(unknown.group(1), section)}"
    missing = re.search(r"missing required field `(.*?)`", head)
    if missing:
        key = f"{place}.{missing.group(1)}" if place else missing.group(1)
        return f"'{key}' is missing; add it."
    wrong = re.search(r"Expected `(.*?)`, got `(.*?)`", head)
    if wrong:
        return f"'{place}' must be of type {wrong.group(1)}, not {wrong.group(2)}; correct its value."
    choice = re.search(r"Invalid enum value (.*)", head)
    if choice:
        return f"'{place}' cannot be {choice.group(1)}; it takes {_choices(place)}."
    return f"'{place}': {head}."


def _section(place: str) -> tuple[str, ...]:
    for name, kind in Config.__annotations__.items():
        if name == place and isinstance(kind, str):
            section = globals().get(kind)
            if section is not None:
                return tuple(section.__struct_fields__)
    return ()


def _choices(place: str) -> str:
    known = {
        "strategy.name": "error, contrast, cluster or undirected",
        "tasks.role": "learn or guard",
        "verify.answers": "recompute or trust",
        "train.start": "continue or restart",
        "train.objective": "sft or dpo",
        "compute.engine": "local or ray",
        "compute.strategy": "ddp or fsdp",
    }
    return known.get(place, "another value")


def _nearest(key: str, known: tuple[str, ...] | list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}."
