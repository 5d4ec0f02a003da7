"""A first start: a sample product and device, the file a device reads, and what to type."""

import json
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from tools.hub.app import Hub
from tools.hub.cloud.keys import KEYS_FILE
from tools.hub.identity import Identity
from tools.hub.provisioning import (
    DEVICE_FILE,
    address_settings,
    authority_file,
    identity_settings,
    write_settings,
)

SAMPLE_PRODUCT = "sample"
SAMPLE_DEVICE = "dev01"


def write_sample(hub: Hub, data: Path, transport: str | None) -> Path | None:
    """Create the sample on an empty hub and write its device.json; later, keep its address true.

    Returns the file, or None when a person removed it.
    """
    path = data / DEVICE_FILE
    if not hub.registry.products:
        product = hub.registry.add_product(SAMPLE_PRODUCT)
        device = hub.registry.add_device(product.product_id, SAMPLE_DEVICE)
        settings = identity_settings(device.identity) | {"device_secret": device.secret}
        settings |= address_settings(hub.address, transport or "tcp", data)
    elif path.exists():
        settings = json.loads(path.read_text())
        settings |= address_settings(hub.address, transport or settings["transport"], data)
    else:
        return None
    write_settings(path, settings)
    return path


def print_welcome(console: Console, hub: Hub, data: Path, device_file: Path | None) -> None:
    """Where the hub is, and lines to paste."""
    table = Table.grid(padding=(0, 2))
    host, ports = hub.address.host, hub.address.ports
    table.add_row("MQTT", f"{host}:{ports['tcp']} (TCP)")
    table.add_row("", f"{host}:{ports['tls']} (TLS, and TLS-PSK)")
    table.add_row("", f"ws://{host}:{ports['ws']}/mqtt")
    table.add_row("", f"wss://{host}:{ports['wss']}/mqtt")
    table.add_row("HTTP", f"http://{host}:{ports['http']}, https://{host}:{ports['https']}")
    if "coap" in ports:
        table.add_row("CoAP", f"coaps://{host}:{ports['coap']}")
    if "cloud" in ports:
        table.add_row("cloud API", f"https://{host}:{ports['cloud']} (keys: {data / KEYS_FILE})")
    table.add_row("CA", f"{authority_file(data).with_suffix('.pem')} (DER beside it)")
    table.add_row("API", f"http://127.0.0.1:{hub.api_port}")
    lines = "mosquitto_pub and others need a signed login; add a device to get its secret."
    if device_file is not None:
        settings = json.loads(device_file.read_text())
        identity = Identity(settings["product_id"], settings["device_name"])
        table.add_row("device file", f"{device_file} (holds the secret)")
        table.add_row("client id", identity.client_id)
        table.add_row("publishes", f"{identity.path}/event, {identity.path}/data")
        table.add_row("subscribes", f"{identity.path}/control, {identity.path}/data")
        lines = _lines_to_paste(identity, host, ports["tcp"], device_file)
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
