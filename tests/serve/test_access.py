"""Who may call: tokens, cookies, hosts, origins, and where the server may listen."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core.serve.guard import COOKIE
from core.serve.listen import listen_tcp
from runs.errors import ExitCode
from tests.serve.builders import DEADLINE_S, Server, chat
from tests.serve.conftest import Start

TOKEN = "correct-horse"
SITE = "https://lab.example"


@pytest.fixture(scope="module")
def guarded(request: pytest.FixtureRequest) -> Iterator[Server]:
    from tests.serve.builders import start_server

    lab = request.getfixturevalue("lab")
    words = ("--host", "0.0.0.0", "--allow-origin", SITE)
    env = {"LABCLI_TOKEN": TOKEN, "RUNPOD_POD_ID": "pod7"}
    started = start_server(lab, *words, env=env)
    yield started.wait_ready()
    started.close()


@pytest.fixture
def outsider(guarded: Server) -> Iterator[httpx.Client]:
    port = guarded.url.rsplit(":", 1)[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S) as made:
        yield made


def test_without_the_token_nothing_but_health_is_answered(outsider: httpx.Client) -> None:
    for headers in ({}, {"authorization": "Bearer wrong-token"}, {"authorization": TOKEN}):
        for path in ("/v1/models", "/stats", "/metrics", "/", "/openapi.json", "/nothing"):
            response = outsider.get(path, headers=headers)
            assert response.status_code == 401, path
            assert response.json()["error"]["type"] == "authentication_error"
            assert response.headers["www-authenticate"] == "Bearer"
    assert outsider.get("/health").status_code == 200
    assert outsider.get("/v1/models?token=wr\u00f6ng").status_code == 401


def test_bearer_token_is_let_in(outsider: httpx.Client) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}

    assert outsider.get("/v1/models", headers=headers).status_code == 200
    response = outsider.post("/v1/chat/completions", json=chat(), headers=headers)
    assert response.status_code == 200
    assert "set-cookie" not in response.headers


def test_token_in_the_address_is_needed_once_and_the_cookie_does_not_tell_it(
    outsider: httpx.Client,
) -> None:
    first = outsider.get("/v1/models", params={"token": TOKEN})

    assert first.status_code == 200
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert outsider.get("/v1/models").status_code == 200
    outsider.cookies.set(COOKIE, TOKEN)
    forged = httpx.get(f"{outsider.base_url}/v1/models", headers={"cookie": f"{COOKIE}={TOKEN}"})
    assert forged.status_code == 401


def test_token_is_never_written_and_the_proxy_address_is(guarded: Server) -> None:
    port = guarded.url.rsplit(":", 1)[1]
    assert not any(TOKEN in line for line in guarded.lines)
    assert any(f"https://pod7-{port}.proxy.runpod.net" in line for line in guarded.lines)


def test_an_allowed_site_may_call_and_another_may_not(outsider: httpx.Client) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "x"}
    asks["access-control-request-headers"] = "authorization,content-type"
    allowed = outsider.options("/v1/chat/completions", headers={"origin": SITE, **asks})
    refused = outsider.options(
        "/v1/chat/completions", headers={"origin": "https://evil.example", **asks}
    )
    headers = {"authorization": f"Bearer {TOKEN}", "origin": "https://evil.example"}

    assert allowed.headers["access-control-allow-origin"] == SITE
    assert "access-control-allow-origin" not in refused.headers
    assert outsider.get("/v1/models", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""]
)
def test_loopback_refuses_a_foreign_host(client: httpx.Client, host: str) -> None:
    response = client.get("/v1/models", headers={"host": host})

    assert response.status_code == 403
    assert response.json()["error"]["code"] == "forbidden_host"


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1", "[::1]:8000"])
def test_loopback_answers_to_every_name_of_this_machine(client: httpx.Client, host: str) -> None:
    assert client.get("/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_loopback_refuses_pages_of_other_sites(client: httpx.Client, origin: str) -> None:
    response = client.post("/v1/chat/completions", json=chat(), headers={"origin": origin})

    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


def test_a_page_of_this_server_may_call(client: httpx.Client, server: Server) -> None:
    response = client.post("/v1/chat/completions", json=chat(), headers={"origin": server.url})
    assert response.status_code == 200


def test_unix_socket_is_its_owners_alone_and_is_removed_at_the_end(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    started = start("--uds", str(path)).wait_ready()
    transport = httpx.HTTPTransport(uds=str(path))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with httpx.Client(transport=transport, base_url="http://lab", timeout=DEADLINE_S) as client:
        assert client.post("/v1/chat/completions", json=chat()).status_code == 200
        second = start("--uds", str(path))
        assert second.process.wait(DEADLINE_S) == ExitCode.BUSY
    assert started.stop() == ExitCode.OK
    assert not path.exists()


def test_an_open_address_needs_a_token(start: Start) -> None:
    started = start("--host", "0.0.0.0")

    assert started.process.wait(DEADLINE_S) == ExitCode.USAGE
    assert "--token" in last_line(started)


def test_a_taken_port_is_one_line_and_exit_code_4(start: Start) -> None:
    with listen_tcp("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        started = start("--port", str(port))
        assert started.process.wait(DEADLINE_S) == ExitCode.BUSY
    assert str(port) in last_line(started)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--model", "nope"), ExitCode.NOT_FOUND),
        (("--weights", "int3"), ExitCode.USAGE),
        (("--token", "short"), ExitCode.USAGE),
        (("--num-gpus", "2"), ExitCode.USAGE),
        (("--host", "no.such.host.invalid"), ExitCode.USAGE),
    ],
)
def test_a_server_that_cannot_start_says_why_in_one_line(
    start: Start, words: tuple[str, ...], code: ExitCode
) -> None:
    started = start(*words)

    assert started.process.wait(DEADLINE_S) == code
    assert last_line(started).startswith("labcli: error: ")
    assert len(started.lines) == 1


def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    from core.serve.listen import listen_unix

    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listener = listen_unix(path)
    assert path.is_socket()
    listener.close()


def last_line(server: Server) -> str:
    """Return the last line that an ended server wrote."""
    while server._heard.get(timeout=DEADLINE_S) is not None:
        pass
    return server.lines[-1]
