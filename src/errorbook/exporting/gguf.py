"""A checkpoint as one GGUF file, and a Modelfile that has Ollama ask it as it was asked in the run.

The file names the rule by which llama.cpp cuts text before its vocabulary; a tokenizer whose rule is not known here is
refused, since a wrong one answers worse and says nothing. Nothing is quantised: `llama-quantize` does that.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from errorbook.adapters.targets import gguf_file, loading
from errorbook.adapters.targets.conversation import Thinking, Turn, end_of_turn, render
from errorbook.errors import ModelError
from errorbook.exporting.weights import Source, base_folder, load_whole

MODELFILE = "Modelfile"
_ASKED, _TOLD, _SAID = "{{ .Prompt }}", "{{ .System }}", "{{ .Response }}"
_QUOTES = '"""'
_BY_HAND = (
    "export it with --what merged, and convert that folder by llama.cpp's convert_hf_to_gguf.py, which knows more kinds"
)
# How text is cut before byte-level BPE, by the expression in tokenizer.json, and what llama.cpp calls it.
_END = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_START = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_SPLITS = {rf"{_START}\p{{N}}{{1,3}}|{_END}": "llama-bpe", rf"{_START}\p{{N}}|{_END}": "qwen2"}


def write_gguf(source: Source, folder: Path) -> Path:
    """Write the model as a GGUF file in 16 bits with its Modelfile, and return the file's path.

    Raises:
        ModelError: The model, its vocabulary or its tokenizer is of a kind that is not written here.
    """
    base = base_folder(source)
    settings = json.loads((Path(base) / "config.json").read_text(encoding="utf-8"))
    if not gguf_file.can_write(settings):
        raise ModelError(f"A GGUF file of a '{settings.get('model_type')}' model is not written here; {_BY_HAND}.")
    tokenizer = loading.load_tokenizer(base)
    labels = gguf_file.Labels(
        name=source.config.run.name,
        cut=_cut(tokenizer),
        starts=not tokenizer.chat_template and loading.prompt_ids(tokenizer, "")[:1] == [tokenizer.bos_token_id],
    )
    path = folder / f"{source.config.run.name}-f16.gguf"
    gguf_file.write(load_whole(source), tokenizer, path, labels)
    (folder / MODELFILE).write_text(
        modelfile(tokenizer, path.name, source.config.target.options.get("thinking", "off")), encoding="utf-8"
    )
    return path


def modelfile(tokenizer: Any, name: str, thinking: Thinking = "off") -> str:
    """The Modelfile: the chat template as Ollama writes one, its default system message, greedy as in the run."""
    system, template = _template(tokenizer, thinking)
    stops = dict.fromkeys((end_of_turn(tokenizer), tokenizer.eos_token))
    told = f"SYSTEM {_QUOTES}{system}{_QUOTES}\n" if system else ""
    return (
        f"FROM ./{name}\n\n# The results were measured on the likeliest answer; a higher temperature varies it.\n"
        "PARAMETER temperature 0\n"
        + "".join(f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}\n" for stop in stops)
        + f"\nTEMPLATE {_QUOTES}{template}{_QUOTES}\n{told}"
    )


def _template(tokenizer: Any, thinking: Thinking) -> tuple[str, str]:
    """The system message that the model's chat template adds by itself, and the template with gaps for what is said."""
    told: Turn = ("system", _TOLD)
    alone = render(tokenizer, _ASKED, thinking)
    whole = render(tokenizer, _ASKED, thinking, (told,)) if tokenizer.chat_template else alone
    before, _, after = whole.partition(_TOLD)
    middle, _, end = after.partition(_ASKED)
    closing = _closing(tokenizer, middle, end)
    turn = f"{middle.removeprefix(closing)}{_ASKED}{end}"
    first = alone.removesuffix(turn)
    framed = first.startswith(before) and first.endswith(closing) and len(first) >= len(before + closing)
    if not closing or first == alone or not (framed or before.startswith(first)):
        return "", f"{alone}{_SAID}"  # no place for a system message
    start = "" if framed else first
    framing = f"{{{{ if .System }}}}{before.removeprefix(start)}{_TOLD}{closing}{{{{ end }}}}"
    system = first.removeprefix(before).removesuffix(closing) if framed else ""
    return system, f"{start}{framing}{turn}{_SAID}{closing}"


def _closing(tokenizer: Any, middle: str, end: str) -> str:
    """What ends a message: what follows system and user alike, up to the special token that opens the next message."""
    pairs = enumerate(zip(middle, end, strict=False))
    shared = middle[: next((at for at, (left, right) in pairs if left != right), min(len(middle), len(end)))]
    opening = max((shared.rfind(token) for token in tokenizer.get_added_vocab()), default=-1)
    return shared[:opening] if opening > 0 else ""


def _cut(tokenizer: Any) -> str:
    """llama.cpp's name of how this tokenizer cuts text. Raises ModelError if it is not known here."""
    described = json.loads(tokenizer.backend_tokenizer.to_str())["pre_tokenizer"] or {}
    steps = described.get("pretokenizers", [described])
    kinds = [step.get("type") for step in steps]
    last = steps[-1]
    if kinds == ["ByteLevel"] and last.get("use_regex"):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and last.get("use_regex"):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not last.get("use_regex"):
        known = _SPLITS.get(steps[0].get("pattern", {}).get("Regex", ""))
        if known:
            return known
    raise ModelError(f"How this model's tokenizer cuts text is not known here; {_BY_HAND}.")
