"""A first start: a sample product and device, the file a device reads, and what to type."""

import json
import os
import socket
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from tools.hub.app import Hub
from tools.hub.identity import Identity

SAMPLE_PRODUCT = "sample"
SAMPLE_DEVICE = "dev01"
DEVICE_FILE = "device.json"


def write_sample(hub: Hub, data: Path) -> Path | None:
    """Create the sample on an empty hub and write its device.json; later, keep its port true.

    Returns the file, or None when a person removed it.
    """
    path = data / DEVICE_FILE
    host = _reachable(hub.config.host)
    if not hub.registry.products:
        product = hub.registry.add_product(SAMPLE_PRODUCT)
        device = hub.registry.add_device(product.product_id, SAMPLE_DEVICE)
        settings: dict[str, object] = {
            "product_id": product.product_id,
            "device_name": device.identity.device_name,
            "device_secret": device.secret,
            "region": "china",
        }
    elif path.exists():
        settings = json.loads(path.read_text())
    else:
        return None
    settings |= {"host": host, "port": hub.mqtt_port, "transport": "tcp"}
    _write_private(path, json.dumps(settings, indent=2) + "\n")
    return path


def print_welcome(console: Console, hub: Hub, device_file: Path | None) -> None:
    """Where the hub is, and lines to paste."""
    table = Table.grid(padding=(0, 2))
    host = _reachable(hub.config.host)
    table.add_row("MQTT", f"{host}:{hub.mqtt_port} (TCP)")
    table.add_row("API", f"http://127.0.0.1:{hub.api_port}")
    lines = "mosquitto_pub and others need a signed login; add a device to get its secret."
    if device_file is not None:
        settings = json.loads(device_file.read_text())
        identity = Identity(settings["product_id"], settings["device_name"])
        table.add_row("device file", f"{device_file} (holds the secret)")
        table.add_row("client id", identity.client_id)
        table.add_row("publishes", f"{identity.path}/event, {identity.path}/data")
        table.add_row("subscribes", f"{identity.path}/control, {identity.path}/data")
        lines = _lines_to_paste(identity, host, hub.mqtt_port, device_file)
    console.print(Panel(table, title="local hub", expand=False))
    console.print("Paste into another terminal (in this directory):", style="bold")
    console.print(lines, soft_wrap=True, markup=False)
    console.print("Ctrl-C ends the hub.\n", style="dim")


def _lines_to_paste(identity: Identity, host: str, port: int, device_file: Path) -> str:
    """Each pair is for two terminals: a device's second login would take over its first."""
    hub = "python -m tools.hub"
    sign = f'eval "$({hub} login {device_file} --shell)"'
    login = f'-h {host} -p {port} -i $CLIENT_ID -u "$USER_NAME" -P "$PASSWORD"'
    return "\n".join(
        (
            "  # the device publishes",
            f"  {hub} watch",
            f"  {sign}; mosquitto_pub {login} -q 1 -t {identity.path}/event -m 21.5",
            "  # the device receives",
            f"  {sign}; mosquitto_sub {login} -q 1 -t {identity.path}/control",
            f"  {hub} publish {identity.path}/control on --qos 1",
            "  # the same with paho-mqtt",
            f"  {sign}; python -c 'import os, paho.mqtt.publish as p; e = os.environ; "
            f'p.single("{identity.path}/event", "21.5", 1, hostname="{host}", port={port}, '
            'client_id=e["CLIENT_ID"], auth=dict(username=e["USER_NAME"], '
            'password=e["PASSWORD"]))\'',
        )
    )


def _reachable(host: str) -> str:
    """An address a device can be given: the listening one, or this computer's when that is any."""
    if host not in ("", "0.0.0.0", "::"):
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # A connected UDP socket sends nothing; it only asks the routing table.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
