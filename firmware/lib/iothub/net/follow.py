"""A file by its address, whatever it is redirected to: for downloads."""

from iothub.codec.url import split_url
from iothub.compat import const
from iothub.errors import CONNECT, BadInput, LinkError, ProtocolError
from iothub.loading import for_now
from iothub.net import http
from iothub.net.endpoint import Endpoint

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = const(3)  # of a device's download


async def follow(url, security, network=None, fields=(), wanted=(), max_redirects=0, session=None):
    """GETs a URL (str): the Client, whose `response` has arrived up to its head; `path` is where
    redirects led. `security` (an SSLContext) is for https; plain http is used when the URL
    says so. Redirects are followed `max_redirects` times at most, never from https to http;
    `fields` go along. Raises LinkError, its kinds, or BadInput."""
    was_tls = False
    while True:
        is_tls, host, port, path = split_url(url)
        if was_tls and not is_tls:
            raise LinkError("http: redirected from https to http", CONNECT)
        if is_tls and security is None:
            raise BadInput("url", "https needs trust anchors")
        was_tls = is_tls
        name = host if port == (443 if is_tls else 80) else "%s:%d" % (host, port)
        endpoint = Endpoint(host, port, network, security if is_tls else None)
        client = http.Client(endpoint, name, session)
        response = await client.request("GET", path, fields, None, tuple(wanted) + (b"location",))
        if response.status not in _REDIRECTS or not max_redirects:
            return client
        client.close()
        max_redirects -= 1
        try:
            url = response.fields[b"location"].decode()
            if url.startswith("/") and not url.startswith("//"):
                url = "http%s://%s%s" % ("s" if is_tls else "", name, url)
            split_url(url)
        except (KeyError, ValueError, BadInput):
            raise ProtocolError("http: redirected to nowhere")


def for_device(device, url, fields, wanted):
    """follow() with the trust anchors of a Device, and as "http" in its configuration says: plain
    http only where that allows it. Raises BadInput."""
    settings = device.config["http"]
    network = device.network
    security = None
    if url.lower().startswith("https:"):
        from iothub.net.rtc import TimedNetwork

        security = for_now("iothub.net.tls").by_certificates(device.config["ca"])
        network = TimedNetwork(network, device.config["sntp"], device.chip)
    elif settings.get("transport") != "http":
        raise BadInput("url", 'is not https; "http" in the configuration may allow it')
    session = device.session if settings.get("alone") else None
    return follow(url, security, network, fields, wanted, _MAX_REDIRECTS, session)
