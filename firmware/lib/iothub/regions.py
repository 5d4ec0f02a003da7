"""The cloud's regions and hosts. PROTOCOL section 1.1: the documents name Guangzhou only, the
others come from the vendor's C SDK, whose spelling of the keys is kept."""

from iothub.errors import BadInput

CHINA = "china"

# key: (MQTT over TCP/TLS and CoAP, MQTT over WebSocket, HTTP gateway). The first two follow
# "PID."; the domain that ends them all is added below.
_HOSTS = {
    CHINA: ("iotcloud", "ap-guangzhou.iothub", "ap-guangzhou.gateway"),
    "us-east": ("us-east.iotcloud", "us-east.iothub", "us-east.gateway"),
    "europe": ("europe.iothub", "europe.iothub", "europe.gateway"),
    "ap-bangkok": ("ap-bangkok.iothub", "ap-bangkok.iothub", "ap-bangkok.gateway"),
}
_DOMAIN = ".tencentdevices.com"


def mqtt_host(region, product_id):
    """Host for MQTT over TCP (1883) and TLS (8883)."""
    return product_id + "." + _hosts(region)[0] + _DOMAIN


def coap_host(region, product_id):
    """Host for CoAP over DTLS (5684/udp): the MQTT one."""
    return mqtt_host(region, product_id)


def websocket_host(region, product_id):
    """Host for MQTT over WebSocket (80) and secure WebSocket (443)."""
    return product_id + "." + _hosts(region)[1] + _DOMAIN


def http_host(region):
    """Host for registration, HTTP publish and log upload. It carries no product id."""
    return _hosts(region)[2] + _DOMAIN


def _hosts(region):
    try:
        return _HOSTS[region]
    except KeyError:
        raise BadInput("region", "must be one of " + ", ".join(sorted(_HOSTS)))
