"""The certificate that C2PA manifests are signed with: the user's own, or a self-made one for development.

The self-made one is a small authority and a leaf below it, made once, in `self-made` below the folder that is set:

    ca.pem            the authority: who wants to trust the sets of this folder trusts this
    certificate.pem   leaf and authority, as signatures carry them
    key.pem           the leaf's private key, P-256, readable by its owner only
"""

import datetime as dt
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.config import C2paSettings
from app.dataset.marking import CertificateCard
from app.errors import Misconfigured

ORGANISATION = "Facsimile, self-made for development"
VALID_DAYS = 3_650

ALGORITHMS = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
"""Curve to C2PA's name of the signature algorithm."""

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """All that signing needs."""

    chain: str
    """PEM, the signing certificate first."""
    key: str = field(repr=False)
    """PEM, PKCS#8."""
    algorithm: str
    """C2PA's name."""
    card: CertificateCard
    timestamp_url: str | None


def load_credentials(settings: C2paSettings) -> Credentials:
    """Read the certificate that is set, or the self-made one, which is made here at first use.

    Raises Misconfigured with what to set, where there is none or it cannot be used.
    """
    if settings.certificate is not None and settings.key is not None:
        return _read(Path(settings.certificate), Path(settings.key), settings, self_made=False)
    if settings.self_made is None:
        raise Misconfigured(
            "no certificate to sign C2PA manifests with; set FACSIMILE_WORKER__C2PA__CERTIFICATE and "
            "FACSIMILE_WORKER__C2PA__KEY to PEM files (in development, FACSIMILE_WORKER__C2PA__SELF_MADE to a folder)"
        )
    folder = Path(settings.self_made) / "self-made"
    try:
        make_self_made(folder)
    except OSError as exc:
        raise Misconfigured(f"no certificate can be made in {folder}: {exc.strerror}") from exc
    return _read(folder / "certificate.pem", folder / "key.pem", settings, self_made=True)


def make_self_made(folder: Path) -> None:
    """Make authority, leaf and key as one folder, unless it is there; of several processes one makes it."""
    if folder.exists():
        return
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    begin = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    authority_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("authority", authority_key, authority_key, begin)
    leaf = _certificate("signer", leaf_key, authority_key, begin)
    key = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        for name, text in (("ca.pem", authority), ("certificate.pem", leaf + authority), ("key.pem", key)):
            (made / name).touch(mode=0o600)
            (made / name).write_text(text)
        # Whole or not at all: a key beside another one's certificate would be worse than neither.
        made.rename(folder)
    except OSError:
        if not (folder / "key.pem").exists():  # else another process was faster
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _certificate(
    what: str, key: ec.EllipticCurvePrivateKey, signed_by: ec.EllipticCurvePrivateKey, begin: dt.datetime
) -> str:
    """PEM of the authority's certificate (where a key signs itself) or of a leaf with the profile that C2PA wants."""
    is_authority = key is signed_by
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(what))
        .issuer_name(_name("authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_by.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_authority,
                key_cert_sign=is_authority,
                crl_sign=is_authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if not is_authority:
        # C2PA's own purpose (1.3.6.1.4.1.62558.2.1) is refused by readers that have not been told of it; this is not.
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(signed_by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _name(what: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Facsimile {what}"),
        ]
    )


def _read(certificate: Path, key: Path, settings: C2paSettings, *, self_made: bool) -> Credentials:
    try:
        chain, private = certificate.read_text(), key.read_text()
        leaf = x509.load_pem_x509_certificates(chain.encode())[0]
        secret = serialization.load_pem_private_key(private.encode(), None)
    except OSError as exc:
        raise Misconfigured(f"the C2PA certificate or its key cannot be read: {exc}") from exc
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:  # TypeError: the key is encrypted
        raise Misconfigured(f"{certificate} or {key} is no unencrypted PEM file: {exc}") from exc
    if not isinstance(secret, PrivateKey):
        raise Misconfigured(f"{key} holds a {type(secret).__name__}; take P-256, P-384, P-521 or Ed25519")
    if leaf.public_key() != secret.public_key():
        raise Misconfigured(f"{key} is not the key of the first certificate in {certificate}")
    if leaf.not_valid_after_utc < dt.datetime.now(dt.UTC):
        raise Misconfigured(f"the certificate in {certificate} ended on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it")
    return Credentials(
        chain=chain,
        key=private,
        algorithm="ed25519" if isinstance(secret, ed25519.Ed25519PrivateKey) else ALGORITHMS[secret.curve.name],
        card=CertificateCard(
            subject=leaf.subject.rfc4514_string(),
            issuer=leaf.issuer.rfc4514_string(),
            sha256=leaf.fingerprint(hashes.SHA256()).hex(),
            not_after=leaf.not_valid_after_utc.isoformat(timespec="seconds"),
            self_made=self_made,
            timestamped=settings.timestamp_url is not None,
        ),
        timestamp_url=settings.timestamp_url,
    )
