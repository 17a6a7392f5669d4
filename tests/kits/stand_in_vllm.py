"""Stands in for `vllm serve`: the part of its API that the target uses, with answers that depend on the adapter.

The standard library alone, so that it starts at once. Its first argument says how it behaves; the rest is what
`vllm serve` would get. It writes its requests to the file named by STAND_IN_LOG.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BEHAVIOURS = (
    "healthy",  # answers with the adapter
    "subtle",  # the adapter changes log-probabilities only
    "deaf",  # takes adapters and answers as the base
    "deaf-and-noisy",  # likewise, but its second answer to a prompt differs a little from its first
    "dying",  # ends at start
    "sickly",  # never becomes healthy
    "mortal",  # ends at the first chat request
    "stubborn",  # ignores SIGTERM, and has a worker that does, too
)


def value(*parts: str) -> int:
    return int.from_bytes(hashlib.blake2b("\n".join(parts).encode(), digest_size=4).digest())


class Stand:
    """What the server knows."""

    def __init__(self, behaviour: str, options: argparse.Namespace) -> None:
        self.behaviour = behaviour
        self.options = options
        self.adapters: dict[str, str] = {}
        self.seen: set[str] = set()

    def load(self, asked: dict[str, Any]) -> tuple[int, Any]:
        if os.environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING") != "True":
            return 404, {"detail": "Not Found"}
        folder, name = Path(asked["lora_path"]), asked["lora_name"]
        if name in self.adapters:
            return 400, {"message": f"The lora adapter '{name}' has already been loaded."}
        config = json.loads((folder / "adapter_config.json").read_bytes())
        if config["r"] > self.options.max_lora_rank:
            return 400, {"message": f"LoRA rank {config['r']} is greater than max_lora_rank."}
        weights = b"".join(path.read_bytes() for path in sorted(folder.glob("*.safetensors")))
        self.adapters[name] = f"{hashlib.blake2b(weights).hexdigest()} x {config['lora_alpha'] / config['r']:g}"
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def unload(self, asked: dict[str, Any]) -> tuple[int, Any]:
        if self.adapters.pop(asked["lora_name"], None) is None:
            return 404, {"message": "There is no such adapter."}
        return 200, "Success"

    def chat(self, asked: dict[str, Any]) -> tuple[int, Any]:
        model, prompt = asked["model"], asked["messages"][-1]["content"]
        if model not in {*self.options.served_model_name, *self.adapters}:
            return 404, {"message": f"The model '{model}' does not exist."}
        if self.behaviour == "mortal":
            print("CUDA out of memory", flush=True)  # noqa: T201
            os._exit(3)
        adapter = "" if self.behaviour.startswith("deaf") else self.adapters.get(model, "")
        spoken = "" if self.behaviour == "subtle" else adapter
        weights = self.options.model
        numbers = [str(value(weights, prompt, spoken, str(place)) % 97) for place in range(6)]
        words = [*numbers[:-1], "Answer:", numbers[-1]]
        kept = words[: asked["max_tokens"]]
        drift = 0.01 if self.behaviour == "deaf-and-noisy" and prompt in self.seen else 0.0
        self.seen.add(prompt)
        tokens = [{"token": word, "logprob": -value(weights, word, adapter) / 2**32 - drift} for word in kept]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": " ".join(kept)},
            "logprobs": {"content": tokens} if asked.get("logprobs") else None,
            "finish_reason": "length" if len(kept) < len(words) else "stop",
        }
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(kept)}
        return 200, {"object": "chat.completion", "choices": [choice], "usage": usage}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand: Stand

    def do_GET(self) -> None:
        sick = self.stand.behaviour == "sickly"
        self._answer(503 if sick else 200, {}) if self.path == "/health" else self._answer(404, {})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != f"Bearer {os.environ['VLLM_API_KEY']}":
            self._answer(401, {"error": "Unauthorized"})
            return
        with Path(os.environ["STAND_IN_LOG"]).open("a", encoding="utf-8") as log:
            log.write(json.dumps({"path": self.path, **asked}) + "\n")
        handlers = {
            "/v1/load_lora_adapter": self.stand.load,
            "/v1/unload_lora_adapter": self.stand.unload,
            "/v1/chat/completions": self.stand.chat,
        }
        self._answer(*handlers[self.path](asked))

    def _answer(self, status: int, body: Any) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main(behaviour: str, arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--served-model-name", nargs="+", required=True)
    parser.add_argument("--enable-lora", action="store_true", required=True)
    parser.add_argument("--max-lora-rank", type=int, required=True)
    parser.add_argument("--generation-config", choices=["vllm"], required=True)
    parser.add_argument("--dtype", default="auto")
    options = parser.parse_args(arguments)
    record = {"path": "start", "pid": os.getpid(), "model": options.model, "dtype": options.dtype}
    if behaviour == "stubborn":
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        record["worker"] = worker.pid
    with Path(os.environ["STAND_IN_LOG"]).open("a", encoding="utf-8") as log:
        log.write(json.dumps(record) + "\n")
    if behaviour == "dying":
        print("Loading weights", "ValueError: this model is not supported", sep="\n", file=sys.stderr)  # noqa: T201
        return 1
    Handler.stand = Stand(behaviour, options)
    print(f"The stand-in listens on {options.port}", flush=True)  # noqa: T201
    with Listening((options.host, options.port), Handler) as server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    assert sys.argv[1] in BEHAVIOURS, f"unknown behaviour {sys.argv[1]}"
    raise SystemExit(main(sys.argv[1], sys.argv[2:]))
