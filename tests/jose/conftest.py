"""A real server of key documents on loopback, over http or https."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Handler(BaseHTTPRequestHandler):
    """Answers with what the server was told to answer, and counts the questions."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Hand the connection to the server's answer of the moment."""
        self.server.requests.append((self.path, dict(self.headers)))
        self.server.answer(self)
        self.close_connection = True

    def reply(self, body, *, status=200, **headers):
        """A complete answer."""
        self.send_response(status)
        for name, value in ({"Content-Length": len(body)} | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing: a test's output is its own."""


class KeyServer(ThreadingHTTPServer):
    """An issuer's key endpoint. Set *answer* to a function of the handler."""

    daemon_threads = True

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "http" if tls is None else "https"
        self.requests = []
        self.closing = threading.Event()
        self.answer = lambda handler: handler.reply(b'{"keys":[]}')
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def url(self, host="127.0.0.1"):
        """Where the keys are, by the given name of this machine."""
        return f"{self.scheme}://{host}:{self.server_port}/jwks"

    def handle_error(self, *_):
        """A client that hangs up early is what some tests are about."""

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.shutdown()
        self.server_close()


@pytest.fixture(name="server")
def _server():
    with KeyServer() as server:
        yield server


@pytest.fixture(name="certificate", scope="session")
def _certificate(tmp_path_factory):
    """The file of a certificate for keys.example.com, with its key: its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keys.example.com")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("keys.example.com"),
                    x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
                ]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "keys.example.com.pem"
    path.write_bytes(
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


@pytest.fixture(name="trust")
def _trust(certificate):
    """What a client verifies the server's certificate with."""
    return ssl.create_default_context(cafile=certificate)


@pytest.fixture(name="tls_server")
def _tls_server(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with KeyServer(context) as server:
        yield server


@pytest.fixture(name="dead_port")
def _dead_port():
    """A port of loopback where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
