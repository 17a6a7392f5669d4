"""A batch API that has too much to do, as the answers of a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from benchmarks.torture.provider import Answer, chat

VERSE = '{"line": "la", "stress": 1}'


def full_for_now(refuse: Callable[[int, int], bool], at: str) -> Callable[[str, bytes], Answer]:
    """A batch API that refuses the nth submission of so many requests or not, as it comes or as it is worked on."""
    files: dict[str, list[dict[str, Any]]] = {}
    made: list[str] = []
    full = {"code": "token_limit_exceeded", "message": "Try again once some batches have been completed."}

    def answer(path: str, body: bytes) -> Answer:
        if path.endswith("/files"):
            name = f"file-{len(files)}"
            files[name] = [json.loads(line) for line in body.splitlines() if line.startswith(b'{"custom_id"')]
            return Answer(json.dumps({"id": name}).encode())
        if path.endswith("/batches") and body:
            source = json.loads(body)["input_file_id"]
            if at == "submission" and refuse(len(made), len(files[source])):
                made.append("")
                return Answer(json.dumps({"error": full}).encode(), 400)
            made.append(source)
            return Answer(json.dumps({"id": f"batch-{len(made) - 1}"}).encode())
        if "/batches/" in path:
            number = int(path.rpartition("-")[2])
            if at == "work" and refuse(number, len(files[made[number]])):
                told = {"id": "b", "status": "failed", "errors": {"object": "list", "data": [full]}}
            else:
                told = {"id": "b", "status": "completed", "output_file_id": made[number]}
            return Answer(json.dumps(told).encode())
        source = path.split("/")[-2]
        lines = [
            {"custom_id": one["custom_id"], "response": {"status_code": 200, "body": json.loads(chat(VERSE))}}
            for one in files[source]
        ]
        return Answer("\n".join(map(json.dumps, lines)).encode())

    return answer
