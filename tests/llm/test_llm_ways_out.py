"""Ways out of a machine: certificates of one's own, and proxies, over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from llm_kit import READ, asks, engine, kinds
from ways_kit import forget_ways, make_certificate, secure

from benchmarks.torture.provider import Answer, chat, service
from errorbook.errors import ModelError
from errorbook.llm.http import HttpLimits
from errorbook.llm.orders import Terms

VERSE = '{"line": "la", "stress": 1}'
TERMS = Terms(limits=HttpLimits(seconds=5.0), patience=0.5, first_wait=0.01)


@pytest.fixture(autouse=True)
def no_ways_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_ways(monkeypatch)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def answered(url: str, terms: Terms = TERMS) -> dict[str, int]:
    with engine(url, terms=terms) as llm:
        return kinds(list(llm.ask(asks(3), READ)))


def test_a_certificate_of_ones_own_is_trusted_once_it_is_named(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with secure(certificate, chat(VERSE)) as url:
        with pytest.raises(ModelError, match=r"(?i)certificate.*certificates = 'FILE'.*SSL_CERT_FILE") as told:
            answered(url)
        assert "start the server" not in str(told.value)
        assert answered(url, TERMS._replace(authorities=str(certificate))) == {"Accepted": 3}
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            with monkeypatch.context() as set_up:
                set_up.setenv(name, str(certificate))
                assert answered(url) == {"Accepted": 3}, name


def test_a_variable_that_names_no_certificates_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))

    with pytest.raises(ModelError, match=r"none\.pem.*correct REQUESTS_CA_BUNDLE"):
        answered("https://127.0.0.1:9/v1")


def test_a_proxy_leads_out_if_it_is_to_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(path: str, _: bytes) -> Answer:
        asked.append(path)
        return Answer(chat(VERSE))

    with service(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.removesuffix("/v1"))
        with pytest.raises(ModelError, match=r"HTTP_PROXY is set and not used, so set proxies = true"):
            answered("http://teacher.invalid/v1")
        assert asked == []
        assert answered("http://teacher.invalid/v1", TERMS._replace(proxies=True)) == {"Accepted": 3}
    assert set(asked) == {"http://teacher.invalid/v1/chat/completions"}


@contextmanager
def tunnel(port: int, refuse: str = "") -> Iterator[str]:
    """A proxy that joins whoever asks for a name with a port of this machine, or refuses."""
    listening = socket.create_server(("127.0.0.1", 0))

    def copy(one: socket.socket, other: socket.socket) -> None:
        with one, other:
            while piece := one.recv(65536):
                other.sendall(piece)

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
                head = client.recv(65536)
            except OSError:
                return
            if refuse or not head.startswith(b"CONNECT teacher.invalid:443 "):
                client.sendall(f"HTTP/1.1 {refuse or '400 Bad'}\r\nContent-Length: 0\r\n\r\n".encode())
                client.close()
                continue
            behind = socket.create_connection(("127.0.0.1", port))
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for pair in ((client, behind), (behind, client)):
                threading.Thread(target=_quietly, args=(copy, *pair), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    with listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def _quietly(copy: object, one: socket.socket, other: socket.socket) -> None:
    try:
        copy(one, other)  # type: ignore[operator]
    except OSError:
        """Either side has hung up."""


def test_a_tunnel_through_a_proxy_to_a_certificate_of_ones_own(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = TERMS._replace(proxies=True, authorities=str(certificate))
    with secure(certificate, chat(VERSE)) as url, tunnel(int(url.split(":")[2].split("/")[0])) as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        assert answered("https://teacher.invalid/v1", terms) == {"Accepted": 3}


def test_a_proxy_that_refuses_is_named_and_nothing_counts_as_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    with tunnel(9, "407 Proxy Authentication Required") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with (
            engine("https://teacher.invalid/v1", terms=TERMS._replace(proxies=True)) as llm,
            pytest.raises(ModelError, match=r"the proxy refuses with status 407"),
        ):
            list(llm.ask(asks(3), READ))
        assert llm.spent.tokens == 0
