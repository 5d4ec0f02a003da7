"""A small certificate authority for the desk: the hub's own, and the tests'.

    authority = make_authority("Local Hub CA")
    server = issue(authority, "server", ["localhost", "127.0.0.1"])
    device = issue(authority, "device", ["PRODUCTID1dev01"], kind="rsa")
    Path("device.der").write_bytes(device.certificate_der)

Nothing here protects a private key beyond what its file does: it is not for production.
"""

from tools.pki.credential import Credential, PkiError
from tools.pki.issuing import issue, make_authority

__all__ = ["Credential", "PkiError", "issue", "make_authority"]
