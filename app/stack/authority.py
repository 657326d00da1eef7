"""The stack's own certificate authority: the store's servers speak gRPC to each other, and to nobody else.

SeaweedFS offers every server's gRPC port to whoever can connect, which on loopback is every program of the machine:
without certificates anyone of them could read, move, delete and forge objects. With mutual TLS a caller needs a
certificate of this authority, and its key lies in a file that only the owner can read. One certificate serves all the
servers, for they are one process.

Source: SeaweedFS's security.toml, sections [grpc] and [grpc.SERVER].
"""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.stack.folder import write_private

SERVERS = ("master", "volume", "filer", "s3", "client", "admin", "worker", "msg_broker")
"""Who presents the certificate, in the words of security.toml."""

VALID_DAYS = 3650
RENEW_DAYS = 90
"""Certificates that end sooner are made anew when the stack starts."""


def grpc_sections(folder: Path) -> str:
    """The sections of security.toml that demand certificates; makes them in `folder` unless they are there.

    Paths are absolute, so the sections must be written anew where a data folder has been moved.
    """
    ca, certificate, key = (folder / name for name in ("ca.pem", "certificate.pem", "key.pem"))
    if not _lasts(certificate) or not ca.exists() or not key.exists():
        _make(ca, certificate, key)
    for path in (ca, certificate, key):
        path.chmod(0o600)
    sections = [f'[grpc]\nca = "{ca}"\n']
    sections += [f'[grpc.{server}]\ncert = "{certificate}"\nkey = "{key}"\n' for server in SERVERS]
    return "\n".join(sections)


def _lasts(certificate: Path) -> bool:
    try:
        ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return False
    return ends > dt.datetime.now(dt.UTC) + dt.timedelta(days=RENEW_DAYS)


def _make(ca: Path, certificate: Path, key: Path) -> None:
    """Make an authority and one certificate by it. The authority's key is forgotten: nobody makes a further one."""
    ca.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    begin = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    authority_key, own_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name, own_name = _name("authority"), _name("object store")
    authority = (
        _builder(authority_name, authority_name, authority_key, begin)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    loopback = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    both_ways = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    own = (
        _builder(own_name, authority_name, own_key, begin)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(loopback), critical=False)
        .add_extension(x509.ExtendedKeyUsage(both_ways), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    private = own_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    for path, data in ((ca, authority.public_bytes(pem)), (certificate, own.public_bytes(pem)), (key, private)):
        write_private(path, data.decode())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begin: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=VALID_DAYS))
    )


def _name(what: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Facsimile {what}")])
