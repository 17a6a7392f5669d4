"""A server behind a certificate of its own, and a machine that knows no ways out."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.torture.provider import Answer, service


def forget_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the proxies and the certificates of this machine out of the environment."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "ssl_cert_file", "ssl_cert_dir"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def make_certificate(folder: Path) -> Path:
    """A certificate that its owner has signed, for this machine and for teacher.invalid; its key is beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    path = folder / "own.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=own"
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:teacher.invalid"]
    subprocess.run([*command.split(), *names, "-keyout", f"{path}.key", "-out", path], check=True, capture_output=True)
    return path


@contextmanager
def secure(certificate: Path, body: bytes) -> Iterator[str]:
    """Serve one reply behind the certificate; gives the base URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, f"{certificate}.key")
    with service(lambda *_: Answer(body), context) as url:
        yield url
