"""Make shared/rds_bundle.pem from PEM text: the root certificates of Amazon RDS.

    .venv/bin/python .ci/rds_bundle.py all.pem "source and date"

`all.pem` is the concatenation of AWS's global bundle and the AWS GovCloud (US) bundle:

    https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
    https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html links to both. If you
get them elsewhere, compare the bytes with a second, independent source.

Only self-signed certificates with the subject of a region's root are kept. Intermediate
certificates are left out because servers send them, and so are the roots of AWS's beta and preview.
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
# Made by .ci/rds_bundle.py, whose docstring explains how to renew it: do so if a region is missing
# here, or if AWS publishes a new generation after G1.
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
                raise ValueError(f"there are two different certificates named {name[1]}")
    return found


def bundle(text: bytes, source: str) -> str:
    body = (f"\n# {name}\n{pem}\n" for name, pem in sorted(roots(text).items()))
    lines = textwrap.wrap(
        f"From {source}.", 100, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
    return HEAD.format(source="\n".join(lines)) + "".join(body)


if __name__ == "__main__":
    _, path, source = sys.argv
    TARGET.write_text(bundle(Path(path).read_bytes(), source))
    print(f"{TARGET}: {TARGET.read_text().count('BEGIN')} certificates")
