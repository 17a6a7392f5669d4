"""The run's TOML as typed sections. Every mistake in it is one sentence with the fix.

A stage defines the section that it reads, beside its functions; the sections here choose plugins. Keys that a section
does not know are options of its plugin, checked against the plugin itself. Only `loop` and the CLI see the whole
`Config`; a stage receives its own values.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from annotated_types import Interval, MinLen

from errorbook import plugins
from errorbook.errors import ConfigError
from errorbook.files import find_path, find_unfit, parse_toml, require_file, shorten
from errorbook.judge import GateSection
from errorbook.records import Role, Rule, without_defaults
from errorbook.redact import find_misplaced
from errorbook.strategies.section import StrategySection
from errorbook.train import TrainSection
from errorbook.verify import VerifySection

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

S = TypeVar("S", bound=msgspec.Struct)

IMPORTED = "imported"
"""The engine of a book that was made from logs: the model that wrote them cannot be asked again."""
LARGEST = 1_000_000
"""Bytes of a run file: it names data and does not hold them."""
SCORER_FILES = ("path", "labelled", "store")
"""Options of a scorer that name files; relative ones are taken from the run file's folder."""


class RunSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[run]`: the run's name, its length, its seed and its dollar cap."""

    name: str
    cycles: Annotated[int, Interval(ge=1, le=1000)] = 3
    seed: Annotated[int, Interval(ge=0, lt=2**32)] = 0
    budget_usd: Annotated[float, Interval(ge=0, le=10_000_000)] | None = None


class TargetSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[target]`: the model being improved; `options` go to the engine's plugin.

    The engine "auto" is the quickest one for this machine and model that is installed.
    """

    model: str = "smollm2-135m-instruct"
    engine: str = "auto"
    options: dict[str, Any] = {}


class InstructorSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[instructor]`: who diagnoses and writes; `options` go to its plugin.

    With `calls = "one"` it analyses a mistake and writes against it in one reply, else in two.
    """

    kind: str = "tutor"
    calls: Literal["one", "two"] = "two"
    options: dict[str, Any] = {}


class TaskSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[tasks]]`: how many examples of each split are used, and what the gate asks of the task.

    `kind` names the plugin if it is not the task's own name. A guard's train examples are never shown to the
    instructor: its right responses are rehearsed. `scorer_options` go to the plugin of the task's scorer. A response
    ends with the first of the strings in `stop`: for models that go on after their answer. Every question that has no
    system message of its own is asked under `system`, and after `shots` examples with their right answers. `markers`
    are words that announce an answer, besides those that the scorer knows.
    """

    name: str
    kind: str = ""
    role: Role = "learn"
    train: Annotated[int, Interval(ge=0, le=10_000_000)] = 200
    dev: Annotated[int, Interval(ge=0, le=10_000_000)] = 200
    test: Annotated[int, Interval(ge=0, le=10_000_000)] = 200
    margin: Annotated[float, Interval(gt=0, lt=1)] = 0.05
    stop: tuple[Annotated[str, MinLen(1)], ...] = ()
    system: str = ""
    shots: Annotated[int, Interval(ge=0, le=100)] = 0
    markers: tuple[Annotated[str, MinLen(1)], ...] = ()
    scorer_options: dict[str, Any] = {}
    options: dict[str, Any] = {}

    @property
    def plugin(self) -> str:
        """Name of the task plugin."""
        return self.kind or self.name

    @property
    def marking(self) -> dict[str, Any]:
        """What the scorer's plugin is given."""
        return self.scorer_options | ({"markers": list(self.markers)} if self.markers else {})


class ComputeSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[compute]`: where the work is done; it changes how fast, not what comes out.

    `engine = "ray"` fans evaluation and the sandbox out over `workers` (0: one for each node or GPU) of the cluster at
    `address`, and trains there. `processes` trains on so many processes of this machine, sharing each batch ("ddp") or
    the weights as well ("fsdp"). `cache` takes up answers that the same weights gave to the same requests before.
    `store` is the folder that keeps what instructors and judges were asked, if runs are to share it.
    """

    engine: Literal["local", "ray"] = "local"
    address: str = ""
    workers: Annotated[int, Interval(ge=0, le=100_000)] = 0
    cpus_per_worker: Annotated[int, Interval(ge=0, le=4096)] = 1
    gpus_per_worker: Annotated[float, Interval(ge=0, le=64)] = 0.0
    processes: Annotated[int, Interval(ge=1, le=1024)] = 1
    strategy: Literal["ddp", "fsdp"] = "ddp"
    cache: bool = True
    store: str = ""


class SinkSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[sinks]]`: a tracker that is told the metrics as well; `options` go to its plugin. It changes no result."""

    kind: str
    options: dict[str, Any] = {}


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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

    def rule(self) -> Rule:
        """The rule that the gate is given; several learnt tasks also guard each other."""
        learn = self.learn()
        guarding = (*self.guards(), *(learn if len(learn) > 1 else ()))
        return Rule(
            alpha=self.gate.alpha,
            tests=self.run.cycles * len(self.train.scales),
            learn=tuple(section.name for section in learn),
            guards=tuple((section.name, section.margin) for section in guarding),
            counts=self.gate.counts,
            guards_against=self.gate.guards_against,
            sequential=self.gate.sequential,
        )


def load(path: Path) -> Config:
    """Read and check a run file. Paths in options of tasks and scorers are taken from the file's own folder.

    Raises:
        ConfigError: The file is missing, not TOML, or wrong in any key.
        PluginError: It names a plugin that is not installed.
    """
    return parse(read_text(path), source=str(path), folder=path.parent)


def read_text(path: Path, kind: str = "run file") -> str:
    """The text of a run file, or of another `kind` of file that is written by hand. Raises ConfigError."""
    require_file(path)
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"'{path}' is larger than {LARGEST:,} bytes, as no {kind} is; check the path.")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        if kind != "run file":
            raise ConfigError(f"There is no {kind} '{path}'; correct the path.") from None
        raise ConfigError(f"There is no run file '{path}'; 'errorbook init' writes one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The {kind} '{path}' cannot be read ({error}).") from None


def parse(text: str, source: str = "run file", folder: Path | None = None) -> Config:
    """Check a run file's text; see `load`."""
    return interpret(read_tables(text, source), source, folder)


def read_tables(text: str, source: str) -> dict[str, Any]:
    """The tables of a TOML text, which may be a run file's or another's. Raises ConfigError."""
    try:
        data = parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"{source} is not valid TOML: {error}.") from None
    if fault := find_misplaced(data) or find_unfit(data):
        raise ConfigError(f"{source}: {fault}")
    return data


def interpret(data: Mapping[str, Any], source: str = "run file", folder: Path | None = None) -> Config:
    """Check the tables of a run file; see `load`."""
    hints = get_type_hints(Config)
    for key in data:
        if key not in hints:
            raise ConfigError(f"{source}: there is no section [{key}]; {plugins.suggest(key, hints)}")
    if "run" not in data:
        raise ConfigError(f"{source}: 'run' is missing; add it.")
    try:
        config = Config(**{name: _read_section(name, hints[name], value) for name, value in data.items()})
        config = _resolve_paths(config, folder or Path())
        _check(config)
    except _WrongError as error:
        raise ConfigError(f"{source}: {error}") from None
    _check_plugins(config)
    return config


def read_section(name: str, section: type[S], keys: Mapping[str, Any]) -> S:
    """The keys of one section, checked as those of a run file are. Raises ConfigError."""
    try:
        read: Any = _read_block(name, section, dict(keys))
    except _WrongError as error:
        raise ConfigError(str(error)) from None
    found: S = read
    return found


def read_task(keys: Mapping[str, Any]) -> TaskSection:
    """One block of `[[tasks]]`, of which these are the keys; paths are taken as they are.

    Raises:
        ConfigError: A key is wrong.
        PluginError: It names a plugin that is not installed.
    """
    section = read_section("tasks", TaskSection, keys)
    plugins.check("tasks", section.plugin, section.options, also=TaskSection.__struct_fields__)
    return section


def dump(config: Config) -> str:
    """The configuration as canonical JSON: equal runs have equal text.

    A key that equals its default does not stand there: a key that is added later changes no text of an earlier run.
    """
    return msgspec.json.encode(without_defaults(config), order="deterministic").decode()


class _WrongError(Exception):
    """One sentence on what is wrong in a run file, before it is known which file that is."""


def _read_section(name: str, hint: Any, value: Any) -> Any:
    """One section, or the tuple of its blocks."""
    if get_origin(hint) is not tuple:
        if not isinstance(value, dict):
            raise _WrongError(f"'{name}' is a section; write it as [{name}].")
        return _read_block(name, hint, value)
    if not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
        raise _WrongError(f"{name} are written as [[{name}]], one block a {name.removesuffix('s')}.")
    return tuple(_read_block(name, get_args(hint)[0], item) for item in value)


def _read_block(name: str, section: type[msgspec.Struct], block: dict[str, Any]) -> msgspec.Struct:
    """One block of TOML as its section; what it does not know goes into its `options`, if it has a plugin."""
    from pydantic import ValidationError

    fields = [field for field in section.__struct_fields__ if field != "options"]
    unknown = {key: value for key, value in block.items() if key not in fields}
    known = {key: value for key, value in block.items() if key in fields}
    if unknown and "options" not in section.__struct_fields__:
        key = next(iter(unknown))
        raise _WrongError(f"[{name}] has no key '{key}'; {plugins.suggest(key, fields)}")
    try:
        # JSON, since strict checks of Python's values refuse a list for a tuple.
        read = _model(section).model_validate_json(json.dumps(known, default=str))
    except ValidationError as error:
        # A value that may be of several types has an error for each: the deepest is of the type that was meant.
        first, *others = error.errors()
        own = [first, *(other for other in others if other["loc"][0] == first["loc"][0])]
        problem = max(own, key=lambda one: len(one["loc"]))
        raise _WrongError(_explain(problem, name, section, block)) from None
    options = {"options": unknown} if unknown else {}
    return section(**{key: getattr(read, key) for key in read.model_fields_set}, **options)


@cache
def _model(section: type[msgspec.Struct]) -> type[BaseModel]:
    """What pydantic checks a section by; it takes a third of a second to load, so only who reads a run file does."""
    from pydantic import ConfigDict, create_model

    hints = get_type_hints(section, include_extras=True)
    fields: dict[str, Any] = {
        field.name: (hints[field.name], ... if field.required else field.default)
        for field in msgspec.structs.fields(section)
        if field.name != "options"
    }
    rules = ConfigDict(strict=True, allow_inf_nan=False)
    return create_model(section.__name__, __config__=rules, **fields)


def _explain(problem: ErrorDetails, name: str, section: type[msgspec.Struct], block: dict[str, Any]) -> str:
    """One of pydantic's errors as a sentence that names the key and the fix."""
    key, kind, given = str(problem["loc"][0]), problem["type"], problem["input"]
    place = f"'{name}.{key}'" + (f" of '{block['name']}'" if name == "tasks" and "name" in block else "")
    if kind == "missing":
        return f"{place} is missing; add it."
    if kind == "literal_error":
        return f"{place} cannot be {given!r}; it takes {problem['ctx']['expected'].replace(chr(39), '')}."
    if kind == "finite_number":
        return f"{place} is {given}; it must be a finite number."
    if kind.endswith("too_short"):
        return f"{place} is empty; give it a value or leave it out."
    hint = get_type_hints(section, include_extras=True)[key]
    limits, wanted = list(dict.fromkeys(plugins.describe_range(hint))), plugins.describe_type(hint)
    if limits and not kind.endswith("_type"):
        return f"{place} is {given}; it must be {' and '.join(limits)}."
    return f"{place} is {shorten(block.get(key))}; it must be {wanted}." if wanted else f"{place}: {problem['msg']}."


def _check(config: Config) -> None:
    """What no section can tell by itself."""
    doubled = [name for name, count in Counter(task.name for task in config.tasks).items() if count > 1]
    compute = config.compute
    problems = [
        (not config.learn(), 'there is no task to learn from; add a [[tasks]] block with role = "learn".'),
        (bool(doubled), f"the task name '{doubled[0] if doubled else ''}' is used twice; give each task its own."),
        (not re.fullmatch(r"[\w.-]+", config.run.name), "run.name may hold letters, digits, '.', '_' and '-' only."),
        (
            len({f"{scale:g}" for scale in config.train.scales}) < len(config.train.scales),
            "two of train.scales are the same to six digits; give each candidate its own.",
        ),
        (bool(config.strategy.find_fault()), config.strategy.find_fault()),
        (compute.engine == "ray" and compute.processes > 1, "compute.processes is for engine = 'local'; set workers."),
        *((min(task.train, task.dev) < 1, f"'{task.name}' needs train and dev examples.") for task in config.learn()),
    ]
    for wrong, sentence in problems:
        if wrong:
            raise _WrongError(sentence)


def _check_plugins(config: Config) -> None:
    model = {"model": config.target.model}
    plugins.check("targets", config.target.engine, config.target.options | model)
    plugins.check("instructors", config.instructor.kind, config.instructor.options)
    plugins.check("trainers", config.train.method, config.train.options | model, also=TrainSection.__struct_fields__)
    plugins.check("retrievers", config.strategy.retriever, None)
    for sink in config.sinks:
        plugins.check("sinks", sink.kind, sink.options, also=("kind",))
    for task in config.tasks:
        plugins.check("tasks", task.plugin, task.options, also=TaskSection.__struct_fields__)


def _resolve_paths(config: Config, folder: Path) -> Config:
    """Make relative paths in options relative to the run file, and a local model folder likewise."""
    tasks = tuple(
        msgspec.structs.replace(
            task,
            options=_make_absolute(task.options, ("path",), folder),
            scorer_options=_make_absolute(task.scorer_options, SCORER_FILES, folder),
        )
        for task in config.tasks
    )
    target = config.target
    if target.model.startswith((".", "~")):
        target = msgspec.structs.replace(target, model=str(find_path(target.model, folder)))
    strategy = config.strategy
    if strategy.encoder.startswith((".", "~")):
        strategy = msgspec.structs.replace(strategy, encoder=str(find_path(strategy.encoder, folder)))
    compute = config.compute
    if compute.store:
        compute = msgspec.structs.replace(compute, store=str(find_path(compute.store, folder)))
    return msgspec.structs.replace(config, tasks=tasks, target=target, strategy=strategy, compute=compute)


def _make_absolute(options: dict[str, Any], names: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """The options with those that name files made absolute; its plugin refuses what is no text."""
    files = {name: value for name, value in options.items() if name in names and isinstance(value, str) and value}
    relative = {name: value for name, value in files.items() if not Path(value).is_absolute()}
    return options | {name: str(find_path(value, folder)) for name, value in relative.items()}
