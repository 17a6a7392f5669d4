"""A short cut of every fuzzer of inputs, and the inputs that were found to break the product, by kind."""

import json
import math
import time
import zipfile
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest

from benchmarks.torture import data_files, logs, replies, run_files
from benchmarks.torture.command import attempt
from errorbook import plugins
from errorbook.cli.options import complain
from errorbook.config import parse
from errorbook.errors import ConfigError, DataError, UserError
from errorbook.files import find_path, find_unfit, parse_toml, require_file
from errorbook.importing.logs.formats import read_log
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.tolerant import find_values
from errorbook.setup.plan import make_plan


@pytest.mark.parametrize("part", [run_files, data_files, logs, replies], ids=lambda part: part.__name__)
def test_a_short_cut_of_each_fuzzer_holds(part: Any) -> None:
    outcome = part.torment(2.0, 11)
    assert outcome.tried > 1
    assert outcome.broken == ()


def test_a_reply_without_an_end_is_searched_in_bounded_time() -> None:
    started = time.process_time()
    for text in ('["' + '\\"' * 400_000, "[[" + "1," * 400_000, ("[" + "1," * 3000) * 200, '{"a":' * 200_000):
        assert list(find_values(text)) == []
    assert time.process_time() - started < 10


def test_half_a_character_of_a_server_is_no_fault_of_the_reply() -> None:
    body = json.dumps({"choices": [{"message": {"content": "4 \ud83d"}}]}).encode()
    assert OpenAIChat("m", base_url="http://h/v1").read(body).text == "4 \ufffd"


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 2**64, -(2**70), 10**5000, "a\0b", "\ud83d"], ids=list("abcdefgh")
)
def test_no_setting_is_a_value_that_cannot_be_kept(value: Any) -> None:
    for shape in (value, [1, value], {"a": {"b": [value]}}):
        sentence = find_unfit({"section": {"key": shape}})
        assert sentence.startswith("'section.key")
        assert sentence.count(".") >= 1
        assert len(sentence) < 200


def test_a_nesting_without_end_is_a_fault_and_not_the_end_of_the_program() -> None:
    for text in ("[" * 5000 + "]" * 5000, "{a=" * 900 + "1" + "}" * 900):
        with pytest.raises(ValueError, match=r"nested|parts"):
            parse_toml(f"x = {text}")
    with pytest.raises(ValueError, match="parts"):
        parse_toml(f"{'a . ' * 30_000}b = 1")
    assert "nested" in find_unfit(parse_toml(f"x = {'[' * 60}{']' * 60}"))
    assert find_unfit(parse_toml(f"x = {'[' * 20}{']' * 20}")) == ""


def test_prose_with_many_full_stops_is_no_key() -> None:
    assert parse_toml(f'prompt = "{"One word. " * 500}"')


@pytest.mark.parametrize("text", ["~nobody-here/x", "a\0b", "loop/x"])
def test_a_path_that_names_no_place_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError, match="names no place"):
        find_path(text, tmp_path)


def test_a_device_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="device or a pipe"):
        require_file(Path("/dev/zero"))
    require_file(tmp_path)


def numbers(hint: Any, stated: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """For each number in an annotation, what the annotation states of it."""
    own = [stated] if hint in {int, float} else []
    parts = (hint.__origin__,) if get_origin(hint) is Annotated else get_args(hint)
    return own + [one for part in parts for one in numbers(part, getattr(hint, "__metadata__", ()))]


@pytest.mark.parametrize("kind", ["tasks", "scorers", "targets", "instructors", "trainers", "retrievers", "sinks"])
def test_every_number_of_every_plugin_has_a_range(kind: plugins.Kind) -> None:
    for name in plugins.names(kind):
        origin = plugins.find_origin(kind, name)
        if origin.distribution != "errorbook":
            continue
        types = plugins.option_types(plugins.load(kind, name))
        for key in plugins.list_options(kind, name):
            for stated in numbers(types.get(key)):
                assert stated, f"{kind} {name} {key}"


def test_one_kind_of_task_under_two_names(tmp_path: Path) -> None:
    text = run_files.SMALL.replace('name = "arithmetic"', 'name = "sums"\nkind = "arithmetic"')
    (tmp_path / "run.toml").write_text(text)
    assert attempt(["plan", "run.toml"], tmp_path) == ""
    with pytest.raises(ConfigError, match="can only be called 'arithmetic', not 'sums'"):
        make_plan(parse(text))


def test_two_scales_that_print_alike_are_one() -> None:
    with pytest.raises(ConfigError, match=r"train\.scales are the same"):
        parse(run_files.SMALL.replace("[train]", "[train]\nscales = [0.5, 0.5000001]"))


def test_a_small_log_that_unpacks_without_end_is_left_closed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "log.eval", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("header.json", '{"eval": {"model": "m"}}')
        packed.writestr("samples/1.json", b" " * 200_000_000)
    with pytest.raises(DataError, match="would unpack to more than any log holds"):
        read_log(tmp_path / "log.eval")


def test_more_examples_than_can_be_made_are_refused_at_once() -> None:
    started = time.process_time()
    text = run_files.SMALL.replace("train = 13", "train = 1000000")
    with pytest.raises(DataError, match="makes at most 10,000 train examples, not 1,000,000"):
        make_plan(parse(text))
    assert time.process_time() - started < 5


def test_a_sentence_is_one_line_whatever_a_user_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    complain("There is no task called 'a\u2028b\x1b[31m\nc'.")
    assert capsys.readouterr().err == "errorbook: There is no task called 'a b [31m c'.\n"
