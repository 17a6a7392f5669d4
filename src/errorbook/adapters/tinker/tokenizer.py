"""The tokenizer of a model that is trained and sampled elsewhere: its small files are fetched, its weights are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from errorbook.adapters.targets import loading
from errorbook.adapters.targets.embedded import EMBEDDED, find_here, resolve
from errorbook.errors import ModelError

_FILES = ["*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt"]


def find_tokenizer(model: str) -> str:
    """The folder with a model's tokenizer: its own if it is on this machine, else its small files from the hub.

    Raises:
        ModelError: It cannot be fetched.
    """
    if model in EMBEDDED or Path(model).is_dir():
        return resolve(model) if model in EMBEDDED else model
    here = find_here(model)
    if here is not None and any((here / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        return str(here)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return snapshot_download(model, allow_patterns=_FILES)
    except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelError(
            f"The tokenizer of '{model}' could not be fetched from the hub ({type(error).__name__}); check the"
            " connection and your access to the model there, or give a folder with it as tokenizer in [target]."
        ) from None


def load_tokenizer(model: str) -> tuple[Path, Any]:
    """The folder of a model's tokenizer, and the tokenizer. Raises ModelError."""
    folder = find_tokenizer(model)
    return Path(folder), loading.load_tokenizer(folder)
