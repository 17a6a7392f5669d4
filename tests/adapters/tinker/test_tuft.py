"""Tinker's protocol as another project's server speaks it: TuFT in its mode for CPUs, with the SDK that it asks for.

TuFT pins versions that this project does not, so it lives in an environment of its own, beside what Errorbook needs.
Name that environment's interpreter in ERRORBOOK_TUFT. Its mode for CPUs trains a stand-in of a model and keeps no
adapter, so what is tested is the protocol: sessions, steps, saved states, going on, answers and refusals.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from places import KITS, ROOT

from errorbook.adapters.targets.serving import free_port

PYTHON = os.environ.get("ERRORBOOK_TUFT", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="TuFT is in no environment that ERRORBOOK_TUFT names the interpreter of"),
]

SERVER = """
import sys
from pathlib import Path
import uvicorn
from tuft.config import AppConfig, ModelConfig
from tuft.server import create_root_app
model = ModelConfig(model_name=sys.argv[1], model_path=Path(sys.argv[1]), max_model_len=512)
users = {"tml-test": "me"}
config = AppConfig(checkpoint_dir=Path(sys.argv[2]), supported_models=[model], authorized_users=users)
config.ensure_directories()
uvicorn.run(create_root_app(config), host="127.0.0.1", port=int(sys.argv[3]), log_level="warning")
"""
CLIENT = """
import json, os, sys
from pathlib import Path
from recipe_kit import recipe_of
from errorbook.adapters.tinker.tinker_target import TinkerTarget
from errorbook.adapters.tinker.tinker_trainer import TinkerTrainer
from errorbook.errors import ErrorbookError
from errorbook.records import Checkpoint, Generation, Lesson
model, address, root = sys.argv[1], sys.argv[2], Path(sys.argv[3])
lessons = [Lesson(prompt=f"{n} + {n}?", completion=f"Answer: {2 * n}", source=f"s{n}") for n in range(12)]
base, told = Checkpoint(base="t", base_fingerprint="f"), {}
target = TinkerTarget(model, base_url=address, patience=20, workspace=str(root))
told["answers"] = [one.tokens for one in target.generate(["Hi", "Ho"], Generation(max_new_tokens=6))]
target.close()
trainer = TinkerTrainer(model, base_url=address, patience=20, save_every=2)
recipe = recipe_of(method="tinker", rank=4, learning_rate=1e-2, epochs=2.0, batch_size=4)
def stop(done, total):
    if done == 3:
        raise KeyboardInterrupt
def attempt(do):
    try:
        do()
    except (ErrorbookError, KeyboardInterrupt) as error:
        return str(error)
attempt(lambda: trainer.train(base, lessons, recipe, root, stop))
seen = []
told["end"] = attempt(lambda: trainer.train(base, lessons, recipe, root, lambda done, total: seen.append(done)))
told["seen"] = seen
told["model"] = attempt(lambda: TinkerTarget("gpt2", base_url=address, tokenizer=model).fingerprint)
os.environ["TINKER_API_KEY"] = "tml-wrong"
told["key"] = attempt(lambda: TinkerTarget(model, base_url=address).fingerprint)
print(json.dumps(told))
"""


@pytest.fixture
def address(tiny_model: Path, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = [PYTHON, "-c", SERVER, str(tiny_model), str(tmp_path / "kept"), str(port)]
    process = subprocess.Popen(command, env={**os.environ, "TUFT_CPU_TEST": "1"}, stdout=sys.stderr)
    try:
        for _ in range(600):
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/healthz", timeout=5).close()
                break
            assert process.poll() is None
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_another_server_is_trained_on_and_asked(address: str, tiny_model: Path, tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT / "src"), str(KITS)])
    environment = {**os.environ, "TINKER_API_KEY": "tml-test", "PYTHONPATH": path}
    command = [PYTHON, "-c", CLIENT, str(tiny_model), address, str(tmp_path / "run")]
    reply = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=300)
    told = json.loads(reply.stdout.splitlines()[-1])
    assert told["answers"] == [6, 6]
    assert told["seen"] == [3, 4, 5, 6]
    assert "gave no adapter_config.json" in told["end"]  # there is none in its mode for CPUs
    assert "does not offer the model 'gpt2'" in told["model"]
    assert "does not accept the key in TINKER_API_KEY (Invalid API key)" in told["key"]
