"""System packages the tests use: which command comes from which Debian package.

`python -m tools.prerequisites` installs the missing ones where that is wanted (CI=true, root, a
Debian-like system) and does nothing otherwise: a test that lacks one is then skipped, and says
what to install.
"""

import os
import shutil
import subprocess
import sys

# command: Debian package
PACKAGES = {
    "coap-client-gnutls": "libcoap3-bin",
    "coap-client-openssl": "libcoap3-bin",
    "coap-server-gnutls": "libcoap3-bin",
    "coap-server-openssl": "libcoap3-bin",
    "faketime": "faketime",
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "nginx": "nginx",
    "npm": "npm",
    "node": "nodejs",
    "openssl": "openssl",
    "socat": "socat",
}
# Debian keeps daemons outside an ordinary user's PATH.
_PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


def find(command: str) -> str | None:
    """The command's path, or None."""
    return shutil.which(command, path=_PATH)


def install_command(commands: list[str]) -> str:
    """What a person types to get them."""
    return "apt-get install " + " ".join(sorted({PACKAGES[c] for c in commands}))


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true")


def main() -> int:
    missing = [c for c in PACKAGES if find(c) is None]
    if not missing or not in_ci():
        return 0
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print("missing, and not root on Debian:", install_command(missing), file=sys.stderr)
        return 1
    packages = sorted({PACKAGES[c] for c in missing})
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    print("installing", *packages, flush=True)
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, timeout=900)
        if done.returncode:
            print(done.stdout + done.stderr, file=sys.stderr)
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
