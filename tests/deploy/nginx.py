"""A real nginx with the configuration that we give out, in front of a running service."""

import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from delegation.dev.servers import listening
from tests.attacks.endpoint import FORM, Answer, Endpoint, basic
from tests.deploy.places import DEPLOY, ROOT
from tests.resilience.load import wait_until

HOST = "127.0.0.1"
"""Where it listens, and whom its certificate names."""

CACHE = ROOT / ".delegation" / "nginx"
"""Where a package is unpacked that was fetched once."""


def binary() -> Path:
    """That of the path, or else of Debian's package, which is fetched once. Skips without both."""
    found = shutil.which("nginx")
    if found is not None:
        return Path(found)
    unpacked = CACHE / "usr/sbin/nginx"
    if not unpacked.exists():
        _fetch()
    if not unpacked.exists() or _run(unpacked, "-v").returncode != 0:
        pytest.skip("there is no nginx on the path, and none to be had by apt-get")
    return unpacked


def _fetch() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    if shutil.which("apt-get") and shutil.which("dpkg"):
        _run("apt-get", "download", "nginx", cwd=CACHE)
        for package in CACHE.glob("nginx_*.deb"):
            _run("dpkg", "-x", package, CACHE)


def _run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, cwd=cwd, capture_output=True, check=False, timeout=60)  # noqa: S603


@dataclass(frozen=True, kw_only=True)
class Nginx:
    """It runs, and listens on *port* of this machine."""

    directory: Path
    port: int
    process: "subprocess.Popen[bytes]" = field(repr=False)

    def connected(self, *, source: str = HOST, **versions: ssl.TLSVersion) -> ssl.SSLSocket:
        """A connection from that address, which believes its certificate and no other."""
        context = ssl.create_default_context(cafile=self.directory / "tls.crt")
        for name, version in versions.items():
            setattr(context, f"{name}_version", version)
        plain = socket.create_connection((HOST, self.port), 10, source_address=(source, 0))
        return context.wrap_socket(plain, server_hostname=HOST)

    def raw(self, data: bytes, *, source: str = HOST) -> Answer:
        """Send these bytes; the first answer to them."""
        with self.connected(source=source) as connection:
            connection.sendall(data)
            return answer_on(connection)

    def send(self, endpoint: Endpoint, body: bytes, **changes: str) -> Answer:
        """Send what *endpoint* would, with other headers or another path."""
        path = changes.pop("path", "/token")
        headers = {
            "Host": "sts.example.com",
            "Connection": "close",
            "Content-Type": FORM,
            "Content-Length": str(len(body)),
            "Authorization": basic(endpoint.client, endpoint.secret),
        }
        lines = [f"POST {path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in (headers | changes).items()]
        return self.raw("\r\n".join([*lines, "", ""]).encode() + body, source=endpoint.source)

    def exchange(self, endpoint: Endpoint, **headers: str) -> Answer:
        """A sound exchange."""
        return self.send(endpoint, urlencode(endpoint.form()).encode(), **headers)

    @property
    def log(self) -> str:
        """All that it has written so far, be it of requests or of errors."""
        return "".join((self.directory / name).read_text() for name in ("access", "errors"))

    def send_to(self, *ports: int) -> None:
        """Have these instances asked from now on, and no other."""
        _write_upstreams(self.directory, ports)
        before = self._workers()
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not before & self._workers() and bool(self._workers()))

    def _workers(self) -> set[str]:
        pid = self.process.pid
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def answer_on(connection: socket.socket) -> Answer:
    """What comes back on a connection."""
    with closing(HTTPResponse(connection)) as response:
        response.begin()
        headers = tuple(response.getheaders())
        return Answer(status=response.status, headers=headers, body=response.read())


@contextmanager
def nginx(directory: Path, *ports: int, level: str = "crit") -> Iterator[Nginx]:
    """Run it in *directory*, in front of instances on these ports of this machine.

    Nothing of the configuration is changed but its paths, where it listens, and how much it says of
    errors.
    """
    program = binary()
    directory.mkdir()
    _write_certificate(directory)
    _write_upstreams(directory, ports)
    with listening(0) as listener:
        port = listener.getsockname()[1]
    text = (DEPLOY / "nginx/nginx.conf").read_text()
    places = {
        "/tmp/": f"{directory}/",  # noqa: S108, it is replaced, and first: the others may name it
        "listen 8443 ssl": f"listen {HOST}:{port} ssl",
        "/etc/nginx/tls/": f"{directory}/",
        "/etc/nginx/upstream.conf": f"{directory}/upstream.conf",
        "/dev/stdout": f"{directory}/access",
        "/dev/stderr crit": f"{directory}/errors {level}",
        "worker_processes auto": "worker_processes 2",
    }
    for given, here in places.items():
        assert given in text
        text = text.replace(given, here)
    (directory / "nginx.conf").write_text(text)
    command = [program, "-e", directory / "errors", "-p", directory, "-c", directory / "nginx.conf"]
    checked = _run(*command, "-t")
    assert checked.returncode == 0, checked.stderr.decode()
    process = subprocess.Popen([*command, "-g", "daemon off;"])  # noqa: S603, our own command
    try:
        found = Nginx(directory=directory, port=port, process=process)
        wait_until(lambda: process.poll() is not None or _listens(port))
        yield found
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


def _write_upstreams(directory: Path, ports: tuple[int, ...]) -> None:
    text = (DEPLOY / "nginx/upstream.conf").read_text()
    line = "    server delegation:8080;\n"
    assert line in text
    lines = "".join(f"    server 127.0.0.1:{port};\n" for port in ports)
    (directory / "upstream.conf").write_text(text.replace(line, lines))


def _write_certificate(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "tls.crt").write_bytes(certificate.public_bytes(pem))
    form = serialization.PrivateFormat.PKCS8
    none = serialization.NoEncryption()
    (directory / "tls.key").write_bytes(key.private_bytes(pem, form, none))
