"""Addresses of files, http:// and https:// (RFC 3986). Pure."""

from iothub.compat import const
from iothub.errors import BadInput

_MAX_URL_BYTES = const(2048)  # signed addresses to be redirected to are long
_MAX_PORT_DIGITS = const(5)


def split_url(url):
    """(whether it is https, host, port, path with query) of an absolute URL (str). Raises
    BadInput."""
    scheme, found, rest = url.partition("://")
    scheme = scheme.lower()
    if not found or scheme not in ("http", "https"):
        raise BadInput("url", "must begin with http:// or https://")
    if len(url) > _MAX_URL_BYTES:
        raise BadInput("url", "over %d characters" % _MAX_URL_BYTES)
    for c in url:
        if not "!" <= c <= "~":
            raise BadInput("url", "has spaces, or characters that are not ASCII")
    rest = rest.partition("#")[0]
    at = 0
    while at < len(rest) and rest[at] not in "/?":
        at += 1
    host, colon, port = rest[:at].partition(":")
    path = rest[at:]
    is_tls = scheme == "https"
    if (
        not host
        or "@" in rest[:at]
        or (colon and not (port.isdigit() and len(port) <= _MAX_PORT_DIGITS))
    ):
        raise BadInput("url", "has no host, or a user, or a wrong port")
    if not path.startswith("/"):
        path = "/" + path
    return is_tls, host, int(port) if port else (443 if is_tls else 80), path
