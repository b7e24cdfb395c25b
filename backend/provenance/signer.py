# SPDX-License-Identifier: GPL-3.0-or-later
"""Who signs content credentials: the user's own certificate where one is given, else a key made on this computer.

A certificate made here proves that a file was not changed since AUtter wrote it, and says nothing about who the
writer is: readers show it as valid but not trusted.
"""

from __future__ import annotations

import datetime
import logging
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from bridge import paths
from bridge.faults import Fault
from bridge.half_written import partial_path, put_in_place

CERTIFICATE_VARIABLE = "AUTTER_CERTIFICATE"  # PEM, the signer's certificate first, then those that vouch for it
PRIVATE_KEY_VARIABLE = "AUTTER_PRIVATE_KEY"  # PEM, PKCS 8
_VALID_DAYS = 3650
_CERTIFICATES, _KEY = "certificates.pem", "private-key.pem"
_ORGANIZATION = "AUtter, a key of this computer"
_HINT = f"Set {CERTIFICATE_VARIABLE} and {PRIVATE_KEY_VARIABLE} to PEM files of one P-256 key, or unset both."
log = logging.getLogger("autter.provenance")


def signing_files() -> tuple[bytes, bytes]:
    """Certificates and private key as PEM. Raises Fault ``certificate-unusable``."""
    named = [os.environ.get(variable, "").strip() for variable in (CERTIFICATE_VARIABLE, PRIVATE_KEY_VARIABLE)]
    if not any(named):
        return own_files(paths.user_data_dir() / "credentials")
    try:
        certificates, key = (Path(name).expanduser().read_bytes() for name in named)
    except OSError as error:
        raise Fault("certificate-unusable", f"The certificate or its key cannot be read ({error.strerror}).", _HINT) from error
    return certificates, key


def signer() -> Any:
    """A ``c2pa.Signer`` (ES256). Raises Fault ``certificate-unusable``."""
    import c2pa

    certificates, key = signing_files()
    try:
        return c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", certificates, key, None))
    except c2pa.C2paError as error:
        raise Fault("certificate-unusable", f"The certificate cannot sign ({error}).", _HINT) from error


def own_files(folder: Path) -> tuple[bytes, bytes]:
    """This computer's certificates and key in ``folder``, made where they are missing, out of date or no pair; only the user can read
    the key. Where they cannot be kept, those of this process alone: movies are signed all the same.
    """
    if (found := _kept(folder)) is not None:
        return found
    made = make_files()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, content in zip((_KEY, _CERTIFICATES), reversed(made), strict=True):
            _write_private(folder / name, content)
    except OSError as error:
        log.warning("the key for content credentials cannot be kept (%s): movies are signed with one of this run alone", error.strerror)
        return _of_this_process()
    return _kept(folder) or made  # another Blender may have written its own pair meanwhile: then both use that


def _kept(folder: Path) -> tuple[bytes, bytes] | None:
    """The pair that lies in ``folder``, if it is one and still valid."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with suppress(OSError, ValueError, TypeError):
        certificates, key = (folder / _CERTIFICATES).read_bytes(), (folder / _KEY).read_bytes()
        certificate = x509.load_pem_x509_certificate(certificates)
        fits = load_pem_private_key(key, None).public_key() == certificate.public_key()
        if fits and certificate.not_valid_after_utc > datetime.datetime.now(datetime.UTC):
            return certificates, key
    return None


@cache
def _of_this_process() -> tuple[bytes, bytes]:
    return make_files()


def _write_private(path: Path, content: bytes) -> None:
    partial = partial_path(path)
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        put_in_place(partial, path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def make_files() -> tuple[bytes, bytes]:
    """New certificates (signer first, then its root) and the signer's private key, as PEM.

    C2PA wants a signer that is not its own root (C2PA 2.1, 14.5), so a root is made, used once, and its key forgotten.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    chain = [_certificate("Signer", own, root, authority=False), _certificate("Root", root, root, authority=True)]
    pem = serialization.Encoding.PEM
    key = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return b"".join(certificate.public_bytes(pem) for certificate in chain), key


def _certificate(name: str, subject: Any, issuer: Any, *, authority: bool) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def named(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION), x509.NameAttribute(NameOID.COMMON_NAME, common)])

    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        subject_name=named(name), issuer_name=named("Root"), public_key=subject.public_key(), serial_number=x509.random_serial_number()
    )
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=authority, path_length=None), True),
        (x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **usage), True),
        (x509.SubjectKeyIdentifier.from_public_key(subject.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), False),
    ]
    if not authority:
        extensions.append((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer, hashes.SHA256())
