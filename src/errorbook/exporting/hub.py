"""A folder sent to the Hugging Face hub, or to what HF_ENDPOINT names. Private unless it is said otherwise.

The token is that of HF_TOKEN or of `hf auth login`; it is neither asked for nor kept here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from errorbook.errors import UserError

Kind = Literal["model", "dataset"]
_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def check(repository: str) -> str:
    """The token to send with, so that nothing is exported first that cannot be pushed.

    Raises:
        UserError: The name is not of the form owner/name, there is no token, or huggingface_hub is not installed.
    """
    if not _NAME.fullmatch(repository):
        raise UserError(f"'{repository}' is not a name on the hub; give --push owner/name.")
    try:
        from huggingface_hub import get_token
    except ImportError:
        raise UserError("Pushing needs huggingface_hub: pip install 'errorbook[local]'.") from None
    token = get_token()
    if not token:
        raise UserError("There is no token to push with; set HF_TOKEN, or log in with 'hf auth login'.")
    return token


def push(folder: Path, repository: str, kind: Kind, *, public: bool = False) -> str:
    """Make the repository if it is missing, put the folder's files into it in one commit, and return its address.

    A repository that exists keeps its visibility.

    Raises:
        UserError: As `check` does, or the hub refused it or was not reached.
    """
    token = check(repository)
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token)
    try:
        api.create_repo(repository, repo_type=kind, private=not public, exist_ok=True)
        api.upload_folder(
            folder_path=folder,
            repo_id=repository,
            repo_type=kind,
            commit_message="Export by Errorbook",
            ignore_patterns=[".cache/*"],
        )
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"The hub did not take '{repository}' ({reason}); the export stays in '{folder}', so check the token's "
            "rights and the connection, and push again with --force."
        ) from error
    place = "datasets/" if kind == "dataset" else ""
    return f"{api.endpoint}/{place}{repository}"
