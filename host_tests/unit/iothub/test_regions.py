from iothub import regions
from iothub.errors import BadInput

from host_tests.unit.iothub.expect import raises

# PROTOCOL 1.1: region, MQTT (and CoAP), WebSocket, HTTP
HOSTS = (
    (
        "china",
        "PRODUCTID1.iotcloud.tencentdevices.com",
        "PRODUCTID1.ap-guangzhou.iothub.tencentdevices.com",
        "ap-guangzhou.gateway.tencentdevices.com",
    ),
    (
        "us-east",
        "PRODUCTID1.us-east.iotcloud.tencentdevices.com",
        "PRODUCTID1.us-east.iothub.tencentdevices.com",
        "us-east.gateway.tencentdevices.com",
    ),
    (
        "europe",
        "PRODUCTID1.europe.iothub.tencentdevices.com",
        "PRODUCTID1.europe.iothub.tencentdevices.com",
        "europe.gateway.tencentdevices.com",
    ),
    (
        "ap-bangkok",
        "PRODUCTID1.ap-bangkok.iothub.tencentdevices.com",
        "PRODUCTID1.ap-bangkok.iothub.tencentdevices.com",
        "ap-bangkok.gateway.tencentdevices.com",
    ),
)


def test_hosts_of_every_region():
    for region, mqtt, websocket, http in HOSTS:
        assert regions.mqtt_host(region, "PRODUCTID1") == mqtt
        assert regions.coap_host(region, "PRODUCTID1") == mqtt
        assert regions.websocket_host(region, "PRODUCTID1") == websocket
        assert regions.http_host(region) == http


def test_an_unknown_region_is_refused_with_the_known_ones():
    for region in ("", "China", "guangzhou", None):
        for action in (regions.mqtt_host, regions.coap_host, regions.websocket_host):
            assert raises(BadInput, action, region, "PRODUCTID1").field == "region"
        reason = raises(BadInput, regions.http_host, region).reason
        assert "ap-bangkok, china, europe, us-east" in reason
