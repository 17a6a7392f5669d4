"""`errorbook ui [DIR]`: serve the book of the runs below a folder until Ctrl-C. It chooses address, port and token."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from errorbook.cli.options import FOLDER
from errorbook.errors import UserError

if TYPE_CHECKING:
    from starlette.applications import Starlette

PORT = 8321
TRIES = 20
SHORTEST = 12
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - only with a token


@click.command("ui")
@FOLDER
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; another needs --token.")
@click.option("--port", type=click.IntRange(1, 65535), help=f"Port to listen on.  [default: {PORT}, or the next free]")
@click.option(
    "--token",
    help="What readers must know; 'auto' makes one. It is sent unencrypted: a tunnel (ssh -L) is safer.",
)
@click.option("--browser/--no-browser", default=True, help="Open a browser if there is a screen.  [default: yes]")
def ui(folder: Path | None, host: str, port: int | None, token: str | None, browser: bool) -> int:
    """The book in a browser: every run below a folder, by default ./runs, live while it goes on."""
    from errorbook.web.app import create_app
    from errorbook.web.security import hosts_of, is_loopback

    root, token = _find_root(folder), _choose_token(token, host)
    listening = listen(host, port)
    number = int(listening.getsockname()[1])
    app = create_app(root, token, hosts_of(host, number))
    address = _find_address(app, host, number) + (f"?token={token}" if token else "")
    click.echo(address)
    click.echo("The book is open there until Ctrl-C.", err=True)
    if not is_loopback(host):
        click.echo(_say_tunnel(number), err=True)
    if browser and has_screen():
        import webbrowser

        webbrowser.open(address)
    _serve(app, listening)
    return 0


def _find_root(folder: Path | None) -> Path:
    """The folder to look for runs in; ./runs need not be there yet."""
    if folder is None:
        return Path("runs")
    if folder.name == "ledger.sqlite" and folder.is_file():
        return folder.parent
    if not folder.is_dir():
        raise UserError(f"There is no folder '{folder}'; name a run's folder, or one with runs below it.")
    return folder


def _choose_token(token: str | None, host: str) -> str | None:
    from errorbook.web.security import is_loopback

    if token == "auto":  # noqa: S105 - a word, not a token
        import secrets

        return secrets.token_urlsafe(24)
    if token is None:
        if not is_loopback(host):
            raise UserError(
                f"At {host} others can reach the book; add '--token auto' so that only you can read it, or leave"
                " out --host and reach it through a tunnel ('ssh -L'), which encrypts what is sent."
            )
    elif len(token) < SHORTEST:
        raise UserError(f"A token of {len(token)} characters is soon guessed; give at least {SHORTEST}, or 'auto'.")
    return token


def _say_tunnel(port: int) -> str:
    """A token keeps others out who only know the address; whoever carries the traffic can read it all the same."""
    return (
        "Pages and the token are sent unencrypted. On a network that is not yours alone, leave out --host and open a"
        f" tunnel on the reader's machine: ssh -L {port}:127.0.0.1:{port} {socket.gethostname()}"
    )


def listen(host: str, port: int | None) -> socket.socket:
    """A socket at the port that was asked for, or at the first free one from the usual one on. Raises UserError."""
    ports = range(PORT, PORT + TRIES) if port is None else [port]
    for number in ports:
        try:
            return _bind(host, number)
        except OSError as error:
            taken = error
    fix = "give another --port" if port is not None else "give a free one with --port"
    what = f"port {port}" if port is not None else f"every port from {PORT} to {PORT + TRIES - 1}"
    raise UserError(f"The book cannot be served at {host}, {what} ({taken.strerror or taken}); {fix}.")


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    if os.name != "nt":  # there it would share the port with another server
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


def _find_address(app: Starlette, host: str, port: int) -> str:
    """The address at which the book opens: the run if the folder is one, else the list of runs."""
    name = socket.gethostname() if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
    books = app.state.shelf.books()
    alone = len(books) == 1 and books[0].folder == app.state.shelf.root
    return f"http://{name}:{port}/" + (f"runs/{books[0].slug}" if alone else "")


def has_screen() -> bool:
    """Whether a browser that is opened here would be seen by who typed the command."""
    if os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY") or not sys.stdout.isatty():
        return False
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in {"darwin", "win32"} or any(os.environ.get(name) for name in screens)


def _serve(app: Starlette, listening: socket.socket) -> None:
    from errorbook.web.serving import make_server

    try:
        make_server(app).run([listening])
    except KeyboardInterrupt:
        return
    finally:
        listening.close()
