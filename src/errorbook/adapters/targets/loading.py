"""Loads a model and its tokenizer, and puts a checkpoint's weights on it, for target and trainer.

Where the files come from is `embedded`'s business, how a prompt is written that of `conversation`; this module answers
nothing and trains nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from errorbook.adapters.targets.conversation import render
from errorbook.adapters.targets.embedded import quiet_transformers
from errorbook.errors import ConfigError, ModelError
from errorbook.files import cache_root, write_file
from errorbook.records import Checkpoint, digest

_OF_LIBRARIES = (ImportError, AssertionError, AttributeError, TypeError)
"""What a package that is missing, or settings that a model class does not know, come out as."""
_CAUSAL = "AutoModelForCausalLM"
_OTHER_ENCODER = "give another as encoder in [strategy], such as 'google-bert/bert-base-uncased'"


def choose_device(wanted: str) -> str:
    """The device's name; "auto" is the GPU if there is one. Raises ModelError if the wanted one is missing."""
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(
            f"The device '{wanted}' is not there; set device = 'auto' in [target] or install CUDA PyTorch."
        )
    return wanted


def choose_dtype(wanted: str, device: str) -> str:
    """The name of the number format; "auto" is bfloat16 if the hardware computes it fast, else float32.

    A CPU with bfloat16 instructions multiplies matrices 2.6 to 3 times as fast in it (see docs/lab-notebook.md);
    one without is slower than in float32.
    """
    import torch

    known = ("bfloat16", "float16", "float32")
    if wanted in known:
        return wanted
    if wanted != "auto":
        raise ModelError(f"The dtype '{wanted}' is unknown; use one of: auto, {', '.join(known)}.")
    fast = torch.cuda.is_bf16_supported() if device.startswith("cuda") else _cpu_has_bfloat16()
    return "bfloat16" if fast else "float32"


def load_model(folder: str, device: str, dtype: str) -> Any:
    """The causal language model in evaluation mode. Raises ModelError if the files cannot be read."""
    return require_numbers(_read_model(folder, dtype), folder).to(device).eval()


def load_encoder(folder: str, device: str) -> tuple[Any, Any]:
    """An encoder of texts in float32 and evaluation mode, without a head, and its tokenizer, which can fill rows up.

    Raises:
        ModelError: The files cannot be read, or what they hold has no states of a text alone.
    """
    model = _read_model(folder, "float32", "AutoModel")
    kind = model.config.model_type
    if model.config.is_encoder_decoder:
        raise ModelError(f"The model in '{folder}' ({kind}) is an encoder with a decoder; {_OTHER_ENCODER}.")
    if not _reads_tokens(model):
        raise ModelError(f"The model in '{folder}' ({kind}) is no encoder of texts alone; {_OTHER_ENCODER}.")
    tokenizer = _read_tokenizer(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token is None:
        raise ModelError(f"The tokenizer in '{folder}' has no token to fill rows up with; give it a pad_token.")
    return tokenizer, require_numbers(model, folder).to(device).eval()


def require_numbers(model: Any, what: str) -> Any:
    """The model itself. Raises ModelError if a weight is no finite number: it would answer every question alike."""
    import torch

    for name, weight in model.named_parameters():
        if weight.is_floating_point() and weight.device.type != "meta" and not bool(torch.isfinite(weight).all()):
            raise ModelError(f"The weights of '{what}' are no finite numbers ({name}); download or train it again.")
    return model


def load_in_4_bits(folder: str, device: str, dtype: str) -> Any:
    """The same with its linear layers in 4-bit NormalFloat, their scales quantised again; they compute in `dtype`.

    This is the base of QLoRA (Dettmers et al. 2023, arXiv 2305.14314, section 3): it can carry a trainable adapter,
    but be neither trained nor saved itself.

    Raises:
        ConfigError: bitsandbytes is not installed.
        ModelError: The files cannot be read.
    """
    import torch
    from transformers import BitsAndBytesConfig

    if find_spec("bitsandbytes") is None:
        raise ConfigError(
            "The method 'qlora' needs bitsandbytes: pip install 'errorbook[qlora]', or set method = 'lora' in [train]."
        )
    four_bits = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )
    model = _read_model(folder, dtype, quantization_config=four_bits, device_map={"": device}).eval()
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            # On a CPU with bfloat16 the first reading outside of training would pack the weights anew, for a product
            # through which no gradient comes back.
            layer.support_avx512bf16_for_cpu = False
    return model


def load_tokenizer(folder: str) -> Any:
    """The model's own tokenizer. Raises ModelError if the files cannot be read or no end token is known."""
    tokenizer = _read_tokenizer(folder)
    if tokenizer.eos_token_id is None:
        raise ModelError(f"The tokenizer in '{folder}' names no eos_token; add it to its tokenizer_config.json.")
    check_tokenizer(tokenizer, folder)
    return tokenizer


def check_tokenizer(tokenizer: Any, folder: str) -> None:
    """Check that a question reaches the model: through the chat template, and as tokens that tell it from another.

    Raises:
        ModelError: The template leaves it out, or the tokenizer knows none of its words.
    """
    questions = ("What is 17 + 25?", "Name three colours.")
    shown = [render(tokenizer, question) for question in questions]
    if any(question not in text for question, text in zip(questions, shown, strict=True)):
        raise ModelError(
            f"The chat template in '{folder}' leaves out the question; give the model the template that it was trained"
            " with (chat_template in tokenizer_config.json)."
        )
    first, second = (prompt_ids(tokenizer, text) for text in shown)
    if first == second:
        raise ModelError(
            f"The tokenizer in '{folder}' makes the same tokens of different questions; give the model its own."
        )


def prompt_ids(tokenizer: Any, rendered: str) -> list[int]:
    """Token ids of a rendered prompt; a chat template writes its own special tokens, plain text gets the default."""
    ids: list[int] = tokenizer(rendered, add_special_tokens=not tokenizer.chat_template)["input_ids"]
    if not tokenizer.chat_template and ids and ids[-1] == tokenizer.eos_token_id:
        # Some tokenizers close every text, but an answer begins where its prompt ends.
        bare: list[int] = tokenizer(rendered, add_special_tokens=False)["input_ids"]
        return ids if bare and ids[-len(bare) :] == bare else ids[:-1]
    return ids


def require_rows(model: Any, tokenizer: Any, rows: Iterable[Sequence[int]]) -> None:
    """Check that the model has embeddings for all these token ids. Raises ModelError if it lacks some."""
    known = model.get_input_embeddings().weight.shape[0]
    beyond = max((max(row, default=0) for row in rows), default=0)
    if beyond >= known:
        raise ModelError(
            f"The tokenizer of '{tokenizer.name_or_path}' writes {tokenizer.convert_ids_to_tokens(beyond)!r} as token "
            f"{beyond}, but the model has embeddings for {known} tokens; enlarge it with resize_token_embeddings, or "
            "take the token out of the tokenizer and its chat template."
        )


def apply_adapter(model: Any, folder: Path, scale: float, *, trainable: bool = False) -> Any:
    """Put a LoRA adapter on the model, its effect multiplied by `scale`; `unload()` of the result takes it off again.

    Raises:
        ModelError: The adapter cannot be read or does not fit.
    """
    import torch
    from safetensors import SafetensorError

    try:
        with quiet_transformers():
            from peft import PeftModel

            adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"The adapter in '{folder}' does not fit the model; was [target] model changed?") from error
    updates = [weight for name, weight in adapted.named_parameters() if ".lora_B." in name]
    if updates and not any(bool(weight.any()) for weight in updates):
        # An update of zero is what PEFT leaves if the names in the file are not those of the model's layers.
        raise ModelError(f"The adapter in '{folder}' is not applied: it changes nothing; was [target] model changed?")
    with torch.no_grad():
        for weight in updates if scale != 1.0 else ():
            weight.mul_(scale)
    return adapted.train(trainable)


def unwrap(model: Any) -> Any:
    """The causal language model itself; an adapter's layers stay in place inside it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def blend(model: Any, base: Any, scale: float) -> None:
    """Move fully trained weights back towards the base's: `base + scale * (trained - base)`, in place."""
    import torch

    with torch.no_grad():
        for trained, original in zip(model.parameters(), base.parameters(), strict=True):
            trained.copy_(torch.lerp(original.float(), trained.float(), scale))


def checkpoint_folder(checkpoint: Checkpoint, root: Path) -> Path:
    """The checkpoint's folder. Raises ModelError if its weights are missing."""
    folder = root / checkpoint.folder
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"The checkpoint's weights are missing from '{folder}'; restore the run's folder and resume.")
    return folder


def weights_hash(folder: Path) -> str:
    """Hash of a folder's safetensors files in the order of their names."""
    return digest(*(_hash_file(path) for path in sorted(folder.glob("*.safetensors"))))


def cached_weights_hash(folder: Path) -> str:
    """The same as `weights_hash`, remembered by path, size and modification time, since base models are large."""
    files = [(path.resolve(), path.stat()) for path in sorted(folder.glob("*.safetensors"))]
    key = digest(*(f"{path}:{stat.st_size}:{stat.st_mtime_ns}" for path, stat in files))
    memo = cache_root() / "hashes" / key
    if memo.is_file():
        return memo.read_text()
    made = weights_hash(folder)
    write_file(memo, made)
    return made


def _read_tokenizer(folder: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, *_OF_LIBRARIES) as error:
        raise ModelError(f"The tokenizer in '{folder}' could not be loaded; save it with save_pretrained.") from error


def _read_model(folder: str, dtype: str, auto: str = _CAUSAL, **options: Any) -> Any:
    import torch
    import transformers
    from safetensors import SafetensorError

    try:
        with quiet_transformers():
            model = getattr(transformers, auto).from_pretrained(
                folder, dtype=getattr(torch, dtype), local_files_only=True, trust_remote_code=False, **options
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, *_OF_LIBRARIES) as error:
        raise ModelError(_explain(folder, error, auto)) from error
    if not options and getattr(model, "is_quantized", False):
        raise ModelError(_explain(folder, ValueError("quantised"), auto))
    return model


def _reads_tokens(model: Any) -> bool:
    with contextlib.suppress(NotImplementedError, AttributeError):
        return hasattr(model.get_input_embeddings(), "weight")
    return False


def _explain(folder: str, error: Exception, auto: str) -> str:
    """Why the model in a folder cannot be loaded, and what to do: its settings tell more than the library's error."""
    settings = _read_settings(folder)
    kind, reason = settings.get("model_type"), " ".join(str(error).split())[:160]
    served = "serve it and set engine = 'openai'"
    if "auto_map" in settings and "code" in str(error):
        fault = "needs Python code of its own (auto_map in config.json), and foreign code is never run here"
        mend = f"take a model of a kind that transformers knows, or {served}"
    elif quantised := settings.get("quantization_config"):
        method = quantised.get("quant_method", "unknown") if isinstance(quantised, dict) else "unknown"
        fault = f"has weights that are quantised ({method}), so that they can be neither trained nor merged"
        mend = "name the model that they were made from, with method = 'qlora' in [train] if memory is short"
    elif "Unrecognized configuration class" in reason:
        use = "causal language model" if auto == _CAUSAL else "encoder"
        fault = f"is of the kind '{kind}', which transformers has as no {use}"
        mend = f"{served}, or take its text model"
    else:
        return f"The model in '{folder}' could not be loaded ({reason}); download or save it again."
    return f"The model in '{folder}' {fault}; {mend if auto == _CAUSAL else _OTHER_ENCODER}."


def _read_settings(folder: str) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        read = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        return read if isinstance(read, dict) else {}
    return {}


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _cpu_has_bfloat16() -> bool:
    """Whether the CPU has AVX-512 or AMX instructions for bfloat16; only Linux says so in a file."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(flags))
