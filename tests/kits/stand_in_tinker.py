"""A server that speaks Tinker's protocol and trains a real model: LoRA, Adam and sampling, on this machine's CPU.

    python -m stand_in_tinker --model FOLDER --port PORT

What the SDK sends is what it does: nothing is scripted. `GET /stats` tells what it was asked to do, and `PUT /faults`
makes it fail. Weights that were saved live as long as the process.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from aiohttp import web

from errorbook.adapters.targets import loading
from errorbook.adapters.targets.decoding import RowLimits, decode
from errorbook.adapters.targets.embedded import quiet_transformers
from errorbook.testing.server import listen

KEY = "tml-stand-in"
ALPHA = 32
FREE = {"/stats", "/faults", "/api/v1/telemetry"}

Tensors = dict[str, Any]


@dataclass
class Learner:
    """One model that is trained: its adapter, its optimiser and the gradients that wait for it."""

    rank: int
    weights: Tensors
    optimizer: Any
    done: int = 0


@dataclass
class State:
    """What the server holds."""

    model: str
    folder: str
    sessions: dict[str, str] = field(default_factory=dict)
    learners: dict[str, Learner] = field(default_factory=dict)
    saved: dict[str, Any] = field(default_factory=dict)
    samplers: dict[str, str] = field(default_factory=dict)
    futures: dict[str, Any] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, Any] = field(default_factory=dict)


class Machine:
    """One base model with adapters that are put on it in turn; whoever uses it holds its lock."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.tokenizer = loading.load_tokenizer(folder)
        self._models: dict[int, Any] = {}
        self.lock = threading.Lock()

    def model(self, rank: int) -> Any:
        with quiet_transformers():
            from peft import LoraConfig, get_peft_model

        if rank not in self._models:
            base = loading.load_model(self.folder, "cpu", "float32")
            config = LoraConfig(r=rank, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
            with quiet_transformers():
                self._models[rank] = get_peft_model(base, config)
        return self._models[rank]

    def learner(self, rank: int, seed: int, weights: Tensors | None = None) -> Learner:
        import torch

        model = self.model(rank)
        if weights is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                for layer in model.modules():
                    if hasattr(layer, "reset_lora_parameters"):
                        layer.reset_lora_parameters("default", True)
            weights = {name: one.detach() for name, one in model.named_parameters() if one.requires_grad}
        own = {name: torch.nn.Parameter(one.detach().clone()) for name, one in weights.items()}
        return Learner(rank, own, torch.optim.AdamW(own.values(), lr=0.0))

    def put_on(self, rank: int, weights: Tensors) -> Any:
        import torch

        model = self.model(rank)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(weights[name])
                    parameter.grad = None
        return model.eval()

    def export(self, learner: Learner, folder: Path) -> None:
        with quiet_transformers():
            self.put_on(learner.rank, learner.weights).save_pretrained(folder, save_embedding_layers=False)


def read_rows(body: bytes) -> tuple[Any, list[tuple[list[int], dict[str, np.ndarray[Any, Any]]]]]:
    """A request of the SDK and its rows: token ids, and the loss's inputs by name."""
    from tinker.proto import tinker_public_pb2 as wire

    asked = wire.ForwardBackwardRequest()
    asked.ParseFromString(body)
    rows = []
    for datum in asked.data:
        ids = [int(one) for chunk in datum.model_input for one in np.frombuffer(chunk.encoded_text.tokens, np.int32)]
        kinds = {wire.DTYPE_FLOAT32: np.float32, wire.DTYPE_INT64: np.int64}
        rows.append(
            (ids, {name: np.frombuffer(one.dense, kinds[one.dtype]) for name, one in datum.loss_fn_inputs.items()})
        )
    return asked, rows


def write_output(likely: list[np.ndarray[Any, Any]], loss: float) -> bytes:
    from tinker.proto import tinker_public_pb2 as wire

    out = wire.ForwardBackwardOutput(loss_fn_output_type="ArrayRecord")
    out.metrics["loss:sum"] = loss
    record = out.loss_fn_outputs.add(num_datums=len(likely))
    offsets = np.cumsum([0, *(one.nbytes for one in likely)]).astype(np.int64)
    batch = record.fields["logprobs"]
    batch.data, batch.offsets, batch.dtype = b"".join(one.tobytes() for one in likely), offsets.tobytes(), 1
    return bytes(out.SerializeToString())


def compute(machine: Machine, learner: Learner, asked: Any, rows: Any) -> bytes:
    """The log-probabilities of every target token; the gradients of the loss are added up unless none is wanted."""
    import torch

    model = machine.put_on(learner.rank, learner.weights)
    found, total = [], 0.0
    for ids, inputs in rows:
        targets = torch.tensor(inputs["target_tokens"].copy())
        with torch.set_grad_enabled(not asked.forward_only):
            logits = model(input_ids=torch.tensor([ids])).logits[0]
            likely = torch.log_softmax(logits.float(), -1).gather(1, targets[:, None])[:, 0]
            if asked.loss_fn == "cross_entropy":
                loss = -(likely * torch.tensor(inputs["weights"].copy())).sum()
            else:
                ratio = torch.exp(likely - torch.tensor(inputs["logprobs"].copy()))
                loss = -(ratio * torch.tensor(inputs["advantages"].copy())).sum()
        if not asked.forward_only:
            loss.backward()  # type: ignore[no-untyped-call]
        found.append(likely.detach().numpy().astype(np.float32))
        total += float(loss.detach())
    if not asked.forward_only:
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and parameter.grad is not None:
                own = learner.weights[name]
                own.grad = parameter.grad.clone() if own.grad is None else own.grad + parameter.grad
    return write_output(found, total)


def move(learner: Learner, params: dict[str, Any]) -> None:
    import torch

    if params.get("grad_clip_norm"):
        torch.nn.utils.clip_grad_norm_(learner.weights.values(), params["grad_clip_norm"])
    for group in learner.optimizer.param_groups:
        group["lr"], group["betas"] = params["learning_rate"], (params["beta1"], params["beta2"])
        group["eps"], group["weight_decay"] = params["eps"], params["weight_decay"]
    learner.optimizer.step()
    learner.optimizer.zero_grad()
    learner.done += 1


def sample(machine: Machine, model: Any, prompts: list[list[int]], params: list[dict[str, Any]]) -> list[bytes]:
    """One answer for each prompt; all are asked for alike but for their seeds."""
    from tinker.proto import tinker_public_pb2 as wire

    ends, end = frozenset(params[0].get("stop") or [machine.tokenizer.eos_token_id]), machine.tokenizer.eos_token_id
    limits = RowLimits(ends, end, params[0]["max_tokens"], params[0].get("temperature", 1.0))
    found = {}
    for row, tokens in decode(loading.unwrap(model), prompts, [one.get("seed") or 0 for one in params], limits):
        out = wire.SampleResponse()
        one = out.sequences.add(stop_reason=0 if tokens[-1] in ends else 1)
        one.tokens = np.array(tokens, np.int32).tobytes()
        if limits.temperature:
            one.logprobs = weigh(model, [*prompts[row], *tokens])[-len(tokens) :].astype(np.float32).tobytes()
        found[row] = bytes(out.SerializeToString())
    return [found[row] for row in range(len(prompts))]


def weigh(model: Any, ids: list[int]) -> np.ndarray[Any, Any]:
    """The log-probability of each token behind those before it; that of the first is no number."""
    import torch

    with torch.no_grad():
        likely = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].float(), -1)
    found = likely[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0].numpy()
    return np.concatenate([[np.nan], found]).astype(np.float32)


class Api:
    """The handlers; each heavy one runs in a thread, and its answer waits to be fetched."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.machine = Machine(state.folder)
        self.exports = TemporaryDirectory(prefix="stand-in-tinker-")
        self.waiting: list[tuple[int, str, list[int], dict[str, Any]]] = []
        self.written: dict[int, bytes] = {}

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 28, middlewares=[self._gate])
        post = {
            "client/config": lambda _: {},
            "client/dynamic_config": lambda _: {},
            "telemetry": lambda _: {"status": "accepted"},
            "create_session": self.create_session,
            "session_heartbeat": lambda _: {},
            "create_model": self.create_model,
            "get_info": self.get_info,
            "optim_step": self.optim_step,
            "save_weights": self.save_weights,
            "save_weights_for_sampler": self.save_for_sampler,
            "save_weights_external": self.save_external,
            "load_weights": self.load_weights,
            "create_sampling_session": self.create_sampler,
            "asample": self.asample,
        }
        app.add_routes([web.post(f"/api/v1/{name}", self._json(do)) for name, do in post.items()])
        app.add_routes(
            [
                web.post("/api/v1/forward_backward", self.forward_backward),
                web.post("/api/v1/retrieve_future", self.retrieve),
                web.post("/api/v1/sessions/{name}/finish", self.finish),
                web.get("/api/v1/healthz", self._json(lambda _: {"status": "ok"})),
                web.get("/api/v1/get_server_capabilities", self.capabilities),
                web.get("/api/v1/samplers/{name}", self.get_sampler),
                web.get(
                    "/api/v1/training_runs/{run}/checkpoints/external_weights/{name}/external_weights_urls", self.urls
                ),
                web.get("/files/{run}/{file}", self.file),
                web.delete("/api/v1/training_runs/{run}/checkpoints/{kind}/{name}", self.delete),
                web.get("/stats", self.stats),
                web.put("/faults", self.change),
            ]
        )
        return app

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> Any:
        faults, name = self.state.faults, request.path.rpartition("/")[2]
        if request.path not in FREE:
            self.state.counts[name] += 1
            if faults.get("drop") and request.transport is not None:
                request.transport.close()
                return web.Response()
            if faults.get("status"):
                return web.json_response({"detail": faults.get("detail", "no")}, status=faults["status"])
            signed = request.path.startswith("/files/")
            if not signed and request.headers.get("X-API-Key") != KEY:
                return web.json_response({"detail": "Invalid API key"}, status=401)
        return await handler(request)

    def _json(self, do: Callable[[Any], Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            body = await request.json() if request.can_read_body else {}
            try:
                found = do(body)
            except KeyError as error:
                return web.json_response({"detail": f"{error.args[0]} is not here"}, status=404)
            return web.json_response(await found if asyncio.iscoroutine(found) else found)

        return handle

    def _later(self, work: Callable[[], Any], model_id: str = "") -> dict[str, Any]:
        """Begin some work and give the number under which its answer can be fetched."""
        number = f"request-{len(self.state.futures)}"

        def run() -> Any:
            with self.machine.lock:
                return work()

        self.state.futures[number] = asyncio.get_running_loop().run_in_executor(None, run)
        return {"request_id": number, "model_id": model_id or None}

    async def retrieve(self, request: web.Request) -> web.Response:
        future = self.state.futures[(await request.json())["request_id"]]
        try:
            found = await asyncio.wait_for(asyncio.shield(future), 20)
        except TimeoutError:
            return web.json_response({"type": "try_again", "request_id": "", "queue_state": "active"}, status=408)
        except Exception as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}", "category": "server"})
        if isinstance(found, bytes):
            return web.Response(body=found, content_type="application/x-protobuf")
        return web.json_response(found)

    def create_session(self, body: Any) -> Any:
        name = f"session-{len(self.state.sessions)}"
        self.state.sessions[name] = "open"
        return {"type": "create_session", "session_id": name}

    async def finish(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.state.sessions[name] = "finished"
        for model in [one for one in self.state.learners if one.startswith(f"{name}:")]:
            del self.state.learners[model]
        return web.json_response({})

    async def capabilities(self, request: web.Request) -> web.Response:
        return web.json_response({"supported_models": [{"model_name": self.state.model}]})

    def create_model(self, body: Any) -> Any:
        name, lora = f"{body['session_id']}:train:{body['model_seq_id']}", body["lora_config"]

        def work() -> Any:
            self.state.learners[name] = self.machine.learner(lora["rank"], lora.get("seed") or 0)
            return {"model_id": name, "type": "create_model"}

        return self._later(work, name)

    def get_info(self, body: Any) -> Any:
        learner = self.state.learners[body["model_id"]]
        data = {"model_name": self.state.model, "arch": "stand-in", "tokenizer_id": None}
        return {"type": "get_info", "model_id": body["model_id"], "model_data": data, "lora_rank": learner.rank}

    async def forward_backward(self, request: web.Request) -> web.Response:
        asked, rows = read_rows(await request.read())
        learner = self.state.learners.get(asked.model_id)
        if learner is None:
            return web.json_response({"detail": f"{asked.model_id} is not here"}, status=404)
        self.state.counts["passes_back"] += not asked.forward_only
        self.state.counts["tokens"] += sum(len(ids) for ids, _ in rows)
        work = functools.partial(compute, self.machine, learner, asked, rows)
        return web.json_response(self._later(work, asked.model_id))

    def optim_step(self, body: Any) -> Any:
        learner = self.state.learners[body["model_id"]]

        def work() -> Any:
            move(learner, body["adam_params"])
            return {"type": "optim_step"}

        return self._later(work, body["model_id"])

    def _keep(self, body: Any, kind: str) -> str:
        import copy

        learner = self.state.learners[body["model_id"]]
        path = f"tinker://{body['model_id'].replace(':', '-')}/{kind}/{body.get('path') or len(self.state.saved)}"
        weights = {name: one.detach().clone() for name, one in learner.weights.items()}
        self.state.saved[path] = (learner.rank, weights, copy.deepcopy(learner.optimizer.state_dict()), learner.done)
        return path

    def save_weights(self, body: Any) -> Any:
        self.state.learners[body["model_id"]]
        return self._later(lambda: {"type": "save_weights", "path": self._keep(body, "weights")}, body["model_id"])

    def save_for_sampler(self, body: Any) -> Any:
        self.state.learners[body["model_id"]]

        def work() -> Any:
            path = self._keep(body, "sampler_weights")
            if body.get("path"):
                return {"type": "save_weights_for_sampler", "path": path}
            name = f"sampler-{len(self.state.samplers)}"
            self.state.samplers[name] = path
            return {"type": "save_weights_for_sampler", "sampling_session_id": name}

        return self._later(work, body["model_id"])

    def save_external(self, body: Any) -> Any:
        learner = self.state.learners[body["model_id"]]

        def work() -> Any:
            path = self._keep(body, "external_weights")
            self.machine.export(learner, Path(self.exports.name) / path.split("/")[2])
            return {"type": "save_weights_external", "path": path}

        return self._later(work, body["model_id"])

    async def urls(self, request: web.Request) -> web.Response:
        run = request.match_info["run"]
        root = f"{request.scheme}://{request.host}/files/{run}"
        listed = {file.name: f"{root}/{file.name}" for file in (Path(self.exports.name) / run).iterdir()}
        return web.json_response({"urls": listed, "expires": "2100-01-01T00:00:00Z"})

    async def file(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(Path(self.exports.name) / request.match_info["run"] / request.match_info["file"])

    def load_weights(self, body: Any) -> Any:
        name = f"{body['session_id']}:train:{body['model_seq_id']}"
        rank, weights, optimizer, done = self.state.saved[body["path"]]

        def work() -> Any:
            learner = self.machine.learner(rank, 0, weights)
            if body["optimizer"]:
                learner.optimizer.load_state_dict(optimizer)
                learner.done = done
            self.state.learners[name] = learner
            return {"type": "load_weights", "path": body["path"]}

        return self._later(work, name)

    def create_sampler(self, body: Any) -> Any:
        path = body.get("model_path") or ""
        if path:
            self.state.saved[path]
        elif body.get("base_model") != self.state.model:
            raise KeyError(body.get("base_model"))
        name = f"sampler-{len(self.state.samplers)}"
        self.state.samplers[name] = path
        return {"type": "create_sampling_session", "sampling_session_id": name}

    async def get_sampler(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        path = self.state.samplers[name] or None
        return web.json_response({"sampler_id": name, "base_model": self.state.model, "model_path": path})

    def _sampler(self, path: str) -> Any:
        """The model with the weights that a path stands for; without one it is the base."""
        if path:
            rank, weights, *_ = self.state.saved[path]
            return self.machine.put_on(rank, weights)
        nothing = {name: one * 0 for name, one in self.machine.model(1).named_parameters() if one.requires_grad}
        return self.machine.put_on(1, nothing)

    def asample(self, body: Any) -> Any:
        path = self.state.samplers[body["sampling_session_id"]]
        ids = [one for chunk in body["prompt"]["chunks"] for one in chunk["tokens"]]
        params, number = body["sampling_params"], self.state.counts["sampled"]
        self.state.counts["sampled"] += 1

        def weigh_prompt() -> Any:
            from tinker.proto import tinker_public_pb2 as wire

            out = wire.SampleResponse(prompt_logprobs=weigh(self._sampler(path), ids).tobytes())
            out.sequences.add(stop_reason=1, tokens=np.array([0], np.int32).tobytes())
            return bytes(out.SerializeToString())

        def work() -> Any:
            time.sleep(self.state.faults.get("slow", 0.0))
            if number not in self.written:  # all that wait to be answered so are answered together
                how = {**params, "seed": 0}
                alike = [one for one in self.waiting if one[1] == path and {**one[3], "seed": 0} == how]
                self.waiting = [one for one in self.waiting if one not in alike]
                answers = sample(
                    self.machine, self._sampler(path), [one[2] for one in alike], [one[3] for one in alike]
                )
                self.written |= {one[0]: answer for one, answer in zip(alike, answers, strict=True)}
            return self.written.pop(number)

        if not body.get("prompt_logprobs"):
            self.waiting.append((number, path, ids, params))
        return {**self._later(weigh_prompt if body.get("prompt_logprobs") else work), "sample_sequence_ids": ["one"]}

    async def delete(self, request: web.Request) -> web.Response:
        found = request.match_info
        self.state.saved.pop(f"tinker://{found['run']}/{found['kind']}/{found['name']}", None)
        return web.Response(status=204)

    async def stats(self, request: web.Request) -> web.Response:
        state = self.state
        told = {"counts": dict(state.counts), "saved": sorted(state.saved), "models": sorted(state.learners)}
        return web.json_response({**told, "open": [name for name, how in state.sessions.items() if how == "open"]})

    async def change(self, request: web.Request) -> web.Response:
        self.state.faults = await request.json()
        for path in self.state.faults.pop("forget", []):
            self.state.saved.pop(path, None)
        return web.json_response({})


class Server:
    """A running stand-in."""

    def __init__(self, root: str) -> None:
        self.root = root

    def wait(self) -> None:
        """Until it answers."""
        for _ in range(600):
            with suppress(OSError):
                self.stats()
                return
            time.sleep(0.05)
        raise TimeoutError("The stand-in did not begin.")

    def stats(self) -> Any:
        with urllib.request.urlopen(f"{self.root}/stats", timeout=30) as answer:
            return json.load(answer)

    def change(self, **faults: Any) -> None:
        """Fail like this from now on: `drop`, `status` with `detail`, `slow` in seconds, `forget` saved paths."""
        request = urllib.request.Request(f"{self.root}/faults", json.dumps(faults).encode(), method="PUT")
        urllib.request.urlopen(request, timeout=30).close()


async def serve(state: State, listening: Any, stop: asyncio.Event) -> None:
    runner = web.AppRunner(Api(state).app(), access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    await stop.wait()
    await runner.cleanup()


@contextmanager
def stand_in(model: str, folder: str) -> Iterator[Server]:
    """The server in a thread, for the length of a block; `model` is the name by which the SDK asks for `folder`."""
    listening = listen("127.0.0.1", 0)
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    state = State(model, folder)
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(state, listening, stop),), daemon=True)
    thread.start()
    server = Server(f"http://127.0.0.1:{listening.getsockname()[1]}")
    try:
        server.wait()
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()


if __name__ == "__main__":
    told = argparse.ArgumentParser()
    told.add_argument("--model", required=True)
    told.add_argument("--folder", default="")
    told.add_argument("--port", type=int, default=0)
    given = told.parse_args()
    socket = listen("127.0.0.1", given.port)
    sys.stdout.write(f"http://127.0.0.1:{socket.getsockname()[1]}\n")
    sys.stdout.flush()
    asyncio.run(serve(State(given.model, given.folder or given.model), socket, asyncio.Event()))
