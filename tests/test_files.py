"""Files and folders are written whole or not at all, and JSON Lines are read by one rule."""

import json
from itertools import islice
from pathlib import Path

import pytest

from errorbook.errors import DataError
from errorbook.files import create_folder, format_json, read_json_lines, replace_file, write_file


class TestWriting:
    def test_a_file_is_replaced_as_a_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "below" / "a.json"
        write_file(path, "old ä")
        with replace_file(path) as file:
            file.write(b"new")
            assert path.read_text(encoding="utf-8") == "old ä"

        assert path.read_bytes() == b"new"
        assert list(path.parent.iterdir()) == [path]

    def test_a_failure_leaves_the_old_file_and_nothing_beside_it(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        write_file(path, b"old")
        with pytest.raises(TypeError), replace_file(path) as file:
            file.writelines([b"half", "no bytes"])  # type: ignore[list-item]

        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_folder_appears_when_it_is_whole(self, tmp_path: Path) -> None:
        folder = tmp_path / "below" / "weights"
        with create_folder(folder) as making:
            (making / "a").write_text("1")
            assert not folder.exists()

        assert [path.name for path in folder.iterdir()] == ["a"]
        assert list(folder.parent.iterdir()) == [folder]

    def test_the_folder_of_a_quicker_process_stays(self, tmp_path: Path) -> None:
        folder = tmp_path / "weights"
        with create_folder(folder) as making:
            (making / "a").write_text("slow")
            folder.mkdir()
            (folder / "a").write_text("quick")

        assert (folder / "a").read_text() == "quick"
        assert list(tmp_path.iterdir()) == [folder]

    def test_a_failure_leaves_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError), create_folder(tmp_path / "weights"):
            raise ZeroDivisionError

        assert list(tmp_path.iterdir()) == []


class TestJsonLines:
    def test_one_rule_for_marks_blank_lines_and_rare_separators(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes('\ufeff{"a": "one\u2028two"}\r\n\n{"a": 0.10}\n'.encode())
        first, second = read_json_lines(path)

        assert (first.values, second.values) == ({"a": "one\u2028two"}, {"a": "0.10"})
        assert (first.place, second.place) == (f"line 1 of '{path}'", f"line 3 of '{path}'")

    def test_decimals_are_numbers_if_they_are_written_back(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text('{"a": 0.10, "b": 12345678901234567890123}\n')

        assert [row.values for row in read_json_lines(path, spelt=False)] == [{"a": 0.1, "b": 12345678901234567890123}]

    def test_half_a_character_is_mended(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text(json.dumps({"\ud83d": ["\ud83d\ude00", "x\ude00"]}))

        assert [row.values for row in read_json_lines(path)] == [{"\ufffd": ["\U0001f600", "x\ufffd"]}]

    def test_lines_are_read_as_they_are_needed(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text('{"a": 1}\n{"a": 2}\nnonsense\n')
        rows = read_json_lines(path)

        assert [row.values["a"] for row in islice(rows, 2)] == [1, 2]
        with pytest.raises(DataError, match=r"Line 3 of .* is not JSON"):
            next(rows)

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b" \n", "is empty"),
            (b"[1]\n", "Line 1 of .* is not a JSON object"),
            (b'{"a": ' + b"9" * 5000 + b"}", "Line 1 of .* is not JSON"),
            (b"[" * 100_000, "Line 1 of .* is not JSON"),
            (b"\xff\xfe\x00", "is not text in UTF-8"),
        ],
        ids=["blank", "array", "long number", "deep", "bytes"],
    )
    def test_what_is_no_object_is_one_sentence(self, tmp_path: Path, content: bytes, sentence: str) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(content)

        with pytest.raises(DataError, match=sentence) as caught:
            list(read_json_lines(path))
        assert "\n" not in str(caught.value)


def test_json_is_indented_and_ends_its_line() -> None:
    assert format_json({"a": 1}) == '{\n  "a": 1\n}\n'
