"""From a configuration to the files that go onto a board."""

import json
from pathlib import Path

from tools.provision.certificates import certificate_der, pair_der
from tools.provision.configuration import Fields, check

CONFIGURATION = "/device.json"
CERTIFICATE = "/device.der"
PRIVATE_KEY = "/device.key.der"
TRUST = "/trust"
AUTHORITY = "/trust/ca.der"


def files_for(fields: Fields, near: Path, trust: Path | None) -> dict[str, bytes]:
    """{path on the board: content}; the configuration is the last, so that it never names what is
    not there yet. `near`: the folder that relative paths of certificate, key and CA are of;
    `trust`: a folder of .der files. Raises BoardError."""
    wanted = dict(fields)
    files: dict[str, bytes] = {}
    if wanted.get("certificate"):
        key = near / str(wanted.get("private_key", ""))
        files[CERTIFICATE], files[PRIVATE_KEY] = pair_der(near / wanted["certificate"], key)
        wanted["certificate"], wanted["private_key"] = CERTIFICATE, PRIVATE_KEY
    authority = near / wanted["ca"] if wanted.get("ca") else None
    if authority is not None and authority.is_dir():
        trust, authority = authority, None
    if authority is not None:
        files[AUTHORITY] = certificate_der(authority)
        wanted["ca"] = AUTHORITY
    elif trust is not None:
        for path in sorted(trust.glob("*.der")):
            files[f"{TRUST}/{path.name}"] = certificate_der(path)
        wanted["ca"] = TRUST
    check(wanted)
    files[CONFIGURATION] = (json.dumps(wanted, indent=1) + "\n").encode()
    return files
