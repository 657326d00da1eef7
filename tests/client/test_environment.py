"""What the environment has wrong is told in one line that names the variable; and a key goes where it is meant to."""

import json
import os
import ssl
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from app.cli.main import run
from app.client import connect, http
from app.client.connect import connect as connect_to
from app.client.errors import UsageProblem
from app.client.http import Http
from app.client.network import proxy_for, trusted

KEY = "fcs_0123456789abcdef_" + "k" * 43


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("SSL", "FACSIMILE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FACSIMILE_URL", "https://service.invalid")
    monkeypatch.setenv("FACSIMILE_API_KEY", KEY)
    monkeypatch.setattr(http, "CONNECT_PATIENCE_S", 0.0)
    monkeypatch.chdir(tmp_path)
    trusted.cache_clear()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "SSL_CERT_FILE names '/nowhere/ca.pem'"),
        ("SSL_CERT_FILE", "garbage.pem", "SSL_CERT_FILE names 'garbage.pem'"),
        ("SSLKEYLOGFILE", "/nowhere/keys", "SSLKEYLOGFILE names '/nowhere/keys'"),
        ("SSLKEYLOGFILE", ".", "SSLKEYLOGFILE names '.'"),
        ("HTTPS_PROXY", "foo://proxy", "HTTPS_PROXY names no proxy that can be used, 'foo://proxy'"),
        ("ALL_PROXY", "http://[::", "ALL_PROXY names no proxy that can be used"),
        (
            "HTTPS_PROXY",
            "http://",
            "HTTPS_PROXY names no proxy that can be used, 'http://': it has no host, or a blank",
        ),
        ("HTTPS_PROXY", "http://:3128", "HTTPS_PROXY names no proxy that can be used, 'http://:3128': it has no host"),
        ("HTTPS_PROXY", "a b c", "HTTPS_PROXY names no proxy that can be used, 'http://a b c'"),
        ("ALL_PROXY", "socks4://127.0.0.1:9", "ALL_PROXY names no proxy that can be used, 'socks4://127.0.0.1:9'"),
        ("https_proxy", "http://u:secret@host:port", "https_proxy names no proxy that can be used, 'http://host:port'"),
        ("FACSIMILE_URL", "  ", "FACSIMILE_URL is blank"),
        ("FACSIMILE_URL", "http://127.0.0.1:9\n", "FACSIMILE_URL is blank, or has a blank or a line break"),
        ("FACSIMILE_URL", "http://127.0.0.1:99999", "no URL of a service"),
        ("FACSIMILE_URL", "http://[::1", "no URL of a service"),
        ("FACSIMILE_URL", "127.0.0.1:8000", "no URL of a service"),
        ("FACSIMILE_API_KEY", f"{KEY}\n", "FACSIMILE_API_KEY is blank, or has a blank or a line break"),
    ],
)
def test_one_line_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, told: str
) -> None:
    Path("garbage.pem").write_text("-----BEGIN NOTHING-----")
    monkeypatch.setenv(name, value)
    assert run(["status"]) == 2
    shown = capsys.readouterr().err
    assert told in shown
    assert len(shown.splitlines()) == 1
    assert "secret" not in shown
    assert KEY not in shown


@pytest.mark.skipif(find_spec("socksio") is not None, reason="socksio is installed: the proxy would be tried")
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS5"])
def test_a_socks_proxy_without_its_package_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scheme: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:9")
    assert run(["status"]) == 2
    assert f"ALL_PROXY names a SOCKS proxy, {scheme}://127.0.0.1:9; that needs" in capsys.readouterr().err


@pytest.mark.parametrize("odd", ["[::1]:80,[", "fe80::/10, ,a b", "*.[x", "::1,[fd00::1", ",,,"])
def test_an_odd_no_proxy_is_only_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], odd: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", odd)
    assert run(["status"]) == 3
    assert "by the proxy that HTTPS_PROXY names" in capsys.readouterr().err
    monkeypatch.setenv("NO_PROXY", f"{odd},.invalid")
    assert proxy_for(httpx.URL("https://service.invalid")) is None
    assert proxy_for(httpx.URL("https://127.0.0.1:8000")) is None


@pytest.mark.parametrize(
    ("names", "url", "direct"),
    [
        ("*", "https://10.1.2.3", True),
        ("10.1.2.3:8443", "https://10.1.2.3:8443", True),
        ("10.1.2.3:8443", "https://10.1.2.3", False),
        ("service.invalid:443", "https://service.invalid", True),
        ("x/y, 10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.0.0.0/99", "https://10.1.2.3", False),
        ("fd00::/8", "https://[fd00::1]", True),
        ("10.0.0.0/8", "https://[fd00::1]", False),
    ],
)
def test_no_proxy_names_hosts_ports_and_networks(
    monkeypatch: pytest.MonkeyPatch, names: str, url: str, direct: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", names)
    assert (proxy_for(httpx.URL(url)) is None) is direct


@pytest.mark.parametrize(
    ("error", "cause", "told"),
    [
        (
            httpx.ConnectError("x"),
            ssl.SSLCertVerificationError("self-signed certificate"),
            r"its certificate is not trusted \(.*self-signed certificate.*\) by SSL_CERT_DIR, '\.'",
        ),
        (
            httpx.ConnectError("wrong version number"),
            ssl.SSLError(1, "wrong version number"),
            "HTTPS_PROXY names, http://127.0.0.1:9, does not speak TLS with us .*does it want http://",
        ),
        (
            httpx.ProxyError("407 Proxy Authentication Required"),
            None,
            "HTTPS_PROXY names, http://127.0.0.1:9, does not let us",
        ),
        (httpx.LocalProtocolError("Illegal header"), None, "cannot be asked"),
    ],
)
def test_what_waiting_does_not_mend_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, error: httpx.TransportError, cause: Exception | None, told: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://u:secret@127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_DIR", ".")
    asked = 0

    def fail(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        raise error from cause

    client = Http("https://service.invalid", KEY, transport=httpx.MockTransport(fail), sleep=lambda seconds: None)
    with pytest.raises(UsageProblem, match=told) as caught:
        client.json("GET", "/v1/models")
    assert asked == 1
    assert "secret" not in str(caught.value)


def prepared(folder: Path, key: str | None) -> None:
    (folder / "facsimile-data").mkdir()
    (folder / "facsimile-data" / "service.json").write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": 1}))
    if key:
        (folder / "facsimile-data" / "api-key").write_text(key)


@pytest.mark.parametrize("blank", [None, ""])
def test_a_key_of_the_environment_is_not_sent_to_what_a_folder_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, blank: str | None
) -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["Authorization"])
        return httpx.Response(200, json={"models": []})

    monkeypatch.setattr(connect, "TRANSPORT", httpx.MockTransport(answer))
    if blank is None:
        monkeypatch.delenv("FACSIMILE_URL")
    else:
        monkeypatch.setenv("FACSIMILE_URL", blank)
    prepared(tmp_path, None)
    with pytest.raises(UsageProblem, match="FACSIMILE_API_KEY is not sent to an address that a folder names"):
        connect_to(None, None)
    (tmp_path / "facsimile-data" / "api-key").write_text("fcs_the_folders_own")
    connect_to(None, None).models()
    connect_to(None, "fcs_given").models()
    connect_to("http://127.0.0.1:9", None).models()
    assert sent == ["Bearer fcs_the_folders_own", "Bearer fcs_given", f"Bearer {KEY}"]
