"""Tests of the bundle of RDS's certificate authorities and of its generator."""

import datetime as dt
import importlib.util
import re
import ssl
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.database import RDS_BUNDLE


def _roots() -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(RDS_BUNDLE.read_bytes())


def test_rds_bundle_has_each_kind_of_root_for_each_region() -> None:
    subjects = [root.subject.rfc4514_string() for root in _roots()]
    names = [
        subject.removeprefix("L=Seattle,CN=").removesuffix(
            ",ST=WA,OU=Amazon RDS,O=Amazon Web Services\\, Inc.,C=US"
        )
        for subject in subjects
    ]
    kinds = ("RSA2048", "RSA4096", "ECC384")
    regions = {name.split()[2] for name in names}

    assert sorted(names) == sorted(
        f"Amazon RDS {region} Root CA {kind} G1" for region in regions for kind in kinds
    )
    assert regions >= {
        "eu-central-1",
        "us-east-1",
        "ap-southeast-7",
        "mx-central-1",
        "us-gov-east-1",
    }


def test_rds_bundle_names_each_certificate() -> None:
    """Terraform checks these comments for the region."""
    names = re.findall(r"^# (.*)\n-----BEGIN", RDS_BUNDLE.read_text(), re.MULTILINE)

    assert names == sorted(names)
    for name, root in zip(names, _roots(), strict=True):
        assert f"CN={name}," in f"{root.subject.rfc4514_string()},"


def test_rds_bundle_is_valid_for_a_year_and_strict() -> None:
    roots = _roots()

    for root in roots:
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = root.extensions.get_extension_for_class(x509.KeyUsage)
        root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        assert constraints.critical
        assert constraints.value.ca
        assert usage.value.key_cert_sign
        assert root.serial_number > 0
        root.verify_directly_issued_by(root)
        assert root.not_valid_before_utc < dt.datetime.now(dt.UTC)
        assert root.not_valid_after_utc > dt.datetime.now(dt.UTC) + dt.timedelta(days=365)
    assert len(ssl.create_default_context(cafile=RDS_BUNDLE).get_ca_certs()) == len(roots)


def _maker() -> Any:
    maker = RDS_BUNDLE.parents[1] / ".ci" / "rds_bundle.py"
    spec = importlib.util.spec_from_file_location("rds_bundle", maker)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rds_bundle_matches_its_generator() -> None:
    head, _, body = RDS_BUNDLE.read_text().partition("\n\n")

    assert _maker().bundle(RDS_BUNDLE.read_bytes(), "…").partition("\n\n")[2] == body
    assert all(line.startswith("# ") for line in head.splitlines())


def _like_a_root(organisation: str, by_itself: bool = True) -> bytes:
    key, other = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
    name = x509.Name.from_rfc4514_string(
        "L=Seattle,CN=Amazon RDS us-east-1 Root CA ECC384 G1,ST=WA,OU=Amazon RDS,"
        f"O={organisation},C=US"
    )
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(dt.datetime(2021, 5, 1, tzinfo=dt.UTC))
    builder = builder.not_valid_after(dt.datetime(2121, 5, 1, tzinfo=dt.UTC))
    certificate = builder.sign(key if by_itself else other, hashes.SHA384())
    return certificate.public_bytes(serialization.Encoding.PEM)


def test_rds_bundle_generator_rejects_other_certificates() -> None:
    amazon = r"Amazon Web Services\, Inc."
    good = _like_a_root(amazon)

    assert _maker().roots(good + good) == {
        "Amazon RDS us-east-1 Root CA ECC384 G1": good.decode().strip()
    }
    assert _maker().roots(_like_a_root("Somebody")) == {}
    with pytest.raises(InvalidSignature):
        _maker().roots(_like_a_root(amazon, by_itself=False))
    with pytest.raises(ValueError, match="two different certificates named Amazon RDS us-east-1"):
        _maker().roots(good + _like_a_root(amazon))
