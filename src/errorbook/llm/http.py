"""One POST at a time over a pool of connections, with a time limit and a limit on the reply's size.

Proxies of the environment are used only if the user says so, redirects are never followed (they would carry the
key elsewhere), and nothing is sent again here: whether that is safe is decided by the exchange.
"""

from __future__ import annotations

import os
import ssl
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from errorbook.errors import ModelError
from errorbook.llm.faults import Away, Lost
from errorbook.llm.streams import is_stream

if TYPE_CHECKING:
    import aiohttp


STREAMED = 25
"""How many times as large a reply may be that comes in pieces: each piece of a word has an envelope of its own."""
_JSON = {"Content-Type": "application/json"}


class HttpLimits(NamedTuple):
    """`seconds` for a whole request, `connect_seconds` of them for the connection; `max_bytes` of one reply.

    `between`: the seconds are for each silence in a reply that comes in pieces, however long the whole takes.
    """

    seconds: float = 300.0
    connect_seconds: float = 15.0
    max_bytes: int = 8_000_000
    between: bool = False


class ServerAnswer(NamedTuple):
    """What a server sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """A pool of connections. Use it within one event loop, and close it there."""

    def __init__(
        self,
        headers: Mapping[str, str],
        limits: HttpLimits,
        connections: int,
        *,
        proxies: bool = False,
        authorities: str = "",
    ) -> None:
        """Raises ModelError if the file of `authorities` (certificates to trust) cannot be read."""
        import aiohttp

        self._limits = limits
        self._session = aiohttp.ClientSession(
            headers={"Accept-Encoding": "identity", **headers},
            connector=aiohttp.TCPConnector(limit=connections, ttl_dns_cache=300, ssl=_trust(authorities)),
            timeout=aiohttp.ClientTimeout(
                total=None if limits.between else limits.seconds,
                sock_connect=limits.connect_seconds,
                sock_read=limits.seconds if limits.between else None,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=proxies,
            auto_decompress=False,
        )

    async def post(self, url: str, body: bytes) -> ServerAnswer:
        """Send a JSON body. Raises Away, Lost, or ModelError for an address that is none."""
        return await self.send("POST", url, body)

    async def send(self, method: str, url: str, data: aiohttp.FormData | bytes | None = None) -> ServerAnswer:
        """Send a form, a JSON body or nothing. Raises as `post` does."""
        import aiohttp

        try:
            async with self._session.request(
                method, url, data=data, headers=_JSON if isinstance(data, bytes) else None, allow_redirects=False
            ) as response:
                body = await self._read(response)
                return ServerAnswer(response.status, response.headers, body)
        except aiohttp.InvalidURL:
            raise ModelError(f"'{url}' is no web address; correct base_url.") from None
        except aiohttp.ClientHttpProxyError as error:
            raise Away(f"the proxy refuses with status {error.status}: {error.message}") from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ssl.SSLError) as error:
            raise Away(_plain(error)) from None
        except TimeoutError:
            what = "nothing more of the reply" if self._limits.between else "no whole reply"
            raise Lost(f"{what} came within timeout = {self._limits.seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(f"the connection was cut ({_plain(error)})") from None

    async def upload(self, url: str, purpose: str, file: bytes) -> ServerAnswer:
        """Send a file with its purpose as a form. Raises as `post` does."""
        import aiohttp

        form = aiohttp.FormData()
        form.add_field("purpose", purpose)
        form.add_field("file", file, filename="requests.jsonl", content_type="application/jsonl")
        return await self.send("POST", url, form)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        most, length = self._limits.max_bytes, response.content_length
        if response.content_type == "text/event-stream":
            most *= STREAMED
        if length is not None and length <= most:
            return _unpack(await response.read(), response.headers, most)
        parts, size = list[bytes](), 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if most == self._limits.max_bytes < size and is_stream(parts[0]):  # whatever type the server calls it
                most *= STREAMED
            if size > most:
                response.close()
                raise Lost(f"the reply is larger than {most:,} bytes")
        return _unpack(b"".join(parts), response.headers, most)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Environment variables that name what is to be trusted, of OpenSSL itself and of clients that many have set up."""


def _trust(authorities: str) -> ssl.SSLContext | bool:
    """What a server's certificate is held against: a file of the user's, else what this machine trusts."""
    # Read anew for every pool: what libraries keep of it is as old as their import.
    name = "certificates" if authorities else next((name for name in _AUTHORITIES if os.environ.get(name)), "")
    if not name:
        return True
    file = authorities or os.environ[name]
    try:
        return ssl.create_default_context(cafile=None if os.path.isdir(file) else file, capath=file)  # noqa: PTH112
    except OSError as error:
        raise ModelError(f"The certificates in '{file}' cannot be read ({error}); correct {name}.") from None


def advise_on(reason: str, base_url: str, *, proxies: bool) -> str:
    """What to do if no connection is made and the reason tells, as half a sentence; else empty."""
    if "certificate" in reason.lower():
        return (
            "if the server is yours, set certificates = 'FILE' in the run file, or SSL_CERT_FILE, to the file with the "
            "authority that signed for it"
        )
    name = f"{base_url.partition(':')[0].upper()}_PROXY"
    if not proxies and (os.environ.get(name) or os.environ.get(name.lower())):
        return f"{name} is set and not used, so set proxies = true if it leads there; else start the server"
    return ""


def _unpack(body: bytes, headers: Mapping[str, str], most: int) -> bytes:
    """The body as it was before a server packed it, which it was not asked to. Raises Lost if it is too large then."""
    coding = headers.get("Content-Encoding", "identity").strip().lower()
    if coding in {"", "identity"}:
        return body
    if coding not in {"gzip", "x-gzip", "deflate"}:
        raise Lost(f"the reply is packed as '{coding[:20]}', which was not asked for")
    try:
        # A few kilobytes can stand for gigabytes: no more than what is taken is ever unpacked.
        whole = zlib.decompressobj(32 + zlib.MAX_WBITS).decompress(body, most + 1)
    except zlib.error as error:
        raise Lost(f"the reply cannot be unpacked ({error})") from None
    if len(whole) > most:
        raise Lost(f"the reply is larger than {most:,} bytes")
    return whole


def _plain(error: Exception) -> str:
    """An error in a few words, without the request that it was raised for."""
    cause = getattr(error, "os_error", None) or error
    words = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return " ".join(str(words).split())[:160]
