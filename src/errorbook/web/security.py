"""Who may ask the server what: exact hosts, the token, no other site, small bodies; and headers that bind browsers.

One layer around the whole application, which sees every request before any page does. What a page shows of hostile
texts is the business of `pages.texts`; that no script of theirs could run even then is the policy's, here.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from html import escape
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": with it browsers send "Origin: null" with our own forms. Other sites are told nothing anyway.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
METHODS = ("GET", "HEAD", "POST")
LARGEST = 1_000_000
"""Bytes of a posted body."""
ANY = "*"
"""As a host: any address of this machine, by number or by the machine's own name."""
OURS = ("none", "same-origin")


class RefusedRequest(NamedTuple):
    """A request that gets no further."""

    status: int
    sentence: str


class Guard:
    """ASGI middleware: refuses what is not for us, and marks every answer with the headers above."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str], token: str | None = None) -> None:
        self.app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._ports = frozenset(host.rpartition(":")[2] for host in hosts if host.startswith(f"{ANY}:"))
        self._token = token
        self._names = frozenset({"localhost", socket.gethostname().lower()}) if self._ports else frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = self._gate(scope, Headers(scope=scope))
        if answer is None and scope["method"] == "POST":
            answer = await _take_body(scope, receive)
            receive = _nothing_more
        await (answer or self.app)(scope, receive, _marked(send))

    def _gate(self, scope: Scope, headers: Headers) -> Response | None:
        refusal = self._stranger(headers) or _cross_site(scope, headers)
        if refusal is not None:
            return show_refusal(refusal)
        if scope["method"] not in METHODS:
            return show_refusal(
                RefusedRequest(405, "Only GET, HEAD and POST are answered here."), {"Allow": ", ".join(METHODS)}
            )
        return self._unknown(scope, headers)

    def _stranger(self, headers: Headers) -> RefusedRequest | None:
        """Another name of this machine would let a page elsewhere read the book through the browser (DNS rebinding)."""
        named = headers.getlist("host")
        if len(named) == 1 and (named[0].lower() in self._hosts or self._is_address(named[0].lower())):
            return None
        known = " or ".join(sorted(f"http://{host}" for host in self._hosts if ANY not in host))
        fix = f"open {known}" if known else "use this machine's address by number, with the port that was printed"
        return RefusedRequest(
            421, f"This address is not the server's own; {fix}. A tunnel must end at the same port number."
        )

    def _is_address(self, host: str) -> bool:
        name, _, port = host.rpartition(":")
        return port in self._ports and (name in self._names or _is_number(name.strip("[]")))

    def _unknown(self, scope: Scope, headers: Headers) -> Response | None:
        """Ask for the token: once in the address, from then on in a cookie that scripts and other sites cannot use."""
        if self._token is None:
            return None
        name, proof = f"errorbook-{_port(headers['host'])}", self._proof()  # cookies know no ports
        given = cookie_parser(headers.get("cookie", "")).get(name, "")
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for key, value in query if key == "token"]
        if tokens and hmac.compare_digest(tokens[-1].encode(), self._token.encode()):
            rest = urlencode([(key, value) for key, value in query if key != "token"])
            # Only the path of this server: an address such as "//elsewhere" would lead away.
            place = "/" + scope.get("raw_path", scope["path"].encode()).decode("latin-1").lstrip("/\\")
            answer = RedirectResponse(place + (f"?{rest}" if rest else ""), 303, {"Cache-Control": "no-store"})
            answer.set_cookie(name, proof, httponly=True, samesite="strict", path="/")
            return answer
        if hmac.compare_digest(given.encode(), proof.encode()):
            return None
        return show_refusal(
            RefusedRequest(401, "This book is for those who have its token; open the address that was printed.")
        )

    def _proof(self) -> str:
        """What the cookie holds: it opens the book, and does not tell the token."""
        return hashlib.sha256(f"errorbook cookie {self._token}".encode()).hexdigest()


def hosts_of(host: str, port: int) -> tuple[str, ...]:
    """The names under which a server that listens there may be asked."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        return (f"{ANY}:{port}",)
    here = {"127.0.0.1", "localhost", "[::1]"}
    name = f"[{host}]" if ":" in host else host.lower()
    names = sorted(here) if name in here else [name]
    return tuple(f"{item}:{port}" for item in names) + (tuple(names) if port == 80 else ())


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach a server that listens there."""
    return host == "localhost" or (_is_number(host) and ipaddress.ip_address(host).is_loopback)


def show_refusal(refusal: RefusedRequest, headers: dict[str, str] | None = None) -> HTMLResponse:
    """A page with one sentence that needs nothing else: no template, no style, no book."""
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Errorbook</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head>'
        f"<body><main><h1>Not possible</h1><p>{escape(refusal.sentence)}</p></main></body></html>"
    )
    return HTMLResponse(page, refusal.status, {"Cache-Control": "no-store", **(headers or {})})


def _cross_site(scope: Scope, headers: Headers) -> RefusedRequest | None:
    """Refuse what another site makes a browser send, but for following a link to a page.

    A write says where it comes from: every browser does, and so must a program.
    """
    site, origin = headers.get("sec-fetch-site", "none"), headers.get("origin")
    if scope["method"] == "POST":
        own = f"http://{headers['host']}"
        if site not in OURS or (origin is not None and origin != own):
            return RefusedRequest(403, "Another site asked for this change; make it on the book's own page.")
        if origin is None and site != "same-origin":
            return RefusedRequest(403, f"A change must say where it comes from; send the header 'Origin: {own}'.")
        return None
    followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if site in OURS or followed:
        return None
    return RefusedRequest(403, "Another site asked for this page; open it in a tab of its own.")


async def _take_body(scope: Scope, receive: Receive) -> Response | None:
    """Read a posted body into the scope, so that handlers need not wait for it; refuse a large one."""
    large = show_refusal(RefusedRequest(413, f"A form may hold at most {LARGEST:,} bytes."), {"Connection": "close"})
    length = Headers(scope=scope).get("content-length", "0")
    if not length.isdecimal() or int(length) > LARGEST:
        return large
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return show_refusal(RefusedRequest(400, "The form did not arrive whole; send it again."))
        body += message.get("body", b"")
        if len(body) > LARGEST:
            return large
        if not message.get("more_body", False):
            scope["errorbook.body"] = body
            return None


async def _nothing_more() -> Message:
    return {"type": "http.disconnect"}


def _marked(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return marked


def _port(host: str) -> str:
    port = host.rpartition(":")[2]
    return port if port.isdecimal() else "80"


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
