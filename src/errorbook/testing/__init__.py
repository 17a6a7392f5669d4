"""A stand-in LLM provider for tests: a local HTTP server over a real socket, with faults on demand.

It speaks OpenAI's chat, embeddings, files and batches protocol and Anthropic's messages and message batches. Use it to
test an instructor, an engine or any other client the way it will be used, network included, without a key and without
cost:

    from errorbook.testing import Faults, Settings, server

    with server(Settings(latency=0.05), Faults(rate_limited=0.1, cut=0.02)) as provider:
        client = MyClient(base_url=provider.base_url, model="any", api_key="any")
        ...
        assert provider.stats().unique_prompts == 200

Replies are held to the JSON schema that a request carries. `Settings(reply="...")` fixes them, and `script=` computes
them: a function from the messages to the text of the reply. The same server in a process of its own:

    python -m errorbook.testing --port 8000 --latency 0.2 --rate-limited 0.1

Not covered: streaming, tools (apart from one forced tool, Anthropic's older way to ask for JSON), images, and the
quality of the replies. Needs aiohttp.
"""

from __future__ import annotations

from errorbook.testing.counts import Stats
from errorbook.testing.server import Server, server
from errorbook.testing.settings import Fault, Faults, Settings
from errorbook.testing.wire import Script, Turn

__all__ = ["Fault", "Faults", "Script", "Server", "Settings", "Stats", "Turn", "server"]
