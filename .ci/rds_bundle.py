"""Make shared/rds_bundle.pem: of PEM text, the roots that the certificates of RDS stand on.

    .venv/bin/python .ci/rds_bundle.py all.pem "where they are from, and when"

`all.pem` is AWS's global bundle and the one of AWS GovCloud (US), one behind the other:

    https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
    https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem

Both are on https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html. Who has
them from somewhere else must find the same bytes in a second, independent source.

It takes self-signed certificates with exactly the subject that AWS gives the roots of a region. It
leaves out the rest: intermediate certificates, which servers send, and the roots of AWS's own beta
and preview.
"""

import re
import sys
import textwrap
from pathlib import Path

from cryptography import x509

TARGET = Path(__file__).parents[1] / "shared" / "rds_bundle.pem"
ROOT = re.compile(
    r"L=Seattle,CN=(Amazon RDS [a-z]+(?:-[a-z]+)+-\d Root CA (?:RSA2048|RSA4096|ECC384) G1),ST=WA,"
    r"OU=Amazon RDS,O=Amazon Web Services\\, Inc\.,C=US"
)
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)
HEAD = """\
# The certificate authorities of Amazon RDS, one of each kind for each region.
{source}
# Made by .ci/rds_bundle.py, which says how to make it anew: that is needed when a region is missing
# here, or when AWS brings out another generation than G1.
"""


def roots(text: bytes) -> dict[str, str]:
    """Return the current roots in it, by name.

    Raises:
        ValueError: two different ones have the same name.
        cryptography.exceptions.InvalidSignature: one is not signed by itself.
    """
    found: dict[str, str] = {}
    for each in PEM.findall(text):
        certificate = x509.load_pem_x509_certificate(each)
        if name := ROOT.fullmatch(certificate.subject.rfc4514_string()):
            certificate.verify_directly_issued_by(certificate)
            pem = each.decode().strip()
            if found.setdefault(name[1], pem) != pem:
                raise ValueError(f"there are two different certificates of {name[1]}")
    return found


def bundle(text: bytes, source: str) -> str:
    """Return the whole file."""
    body = (f"\n# {name}\n{pem}\n" for name, pem in sorted(roots(text).items()))
    lines = textwrap.wrap(
        f"From {source}.", 100, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
    return HEAD.format(source="\n".join(lines)) + "".join(body)


if __name__ == "__main__":
    _, path, source = sys.argv
    TARGET.write_text(bundle(Path(path).read_bytes(), source))
    print(f"{TARGET}: {TARGET.read_text().count('BEGIN')} certificates")
