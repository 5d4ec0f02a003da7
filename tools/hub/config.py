"""Every number the hub works with. Limits are the documents' unless a test sets others."""

from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
MEMORY = ":memory:"


@dataclass(frozen=True, slots=True)
class HubConfig:
    """What a hub is started with. Port 0 asks the system for a free port."""

    host: str = LOOPBACK
    mqtt_port: int = 1883
    # None: not listened on. The cloud's are 8883, 80 and 443.
    tls_port: int | None = None
    ws_port: int | None = None
    wss_port: int | None = None
    # The cloud API; the cloud's is 443.
    cloud_port: int | None = None
    # The HTTP gateway; the cloud's ports are 80 and 443.
    http_port: int | None = None
    https_port: int | None = None
    # CoAP over DTLS, the cloud's at 5684, and over plain UDP, where nothing proves who sends.
    coap_port: int | None = None
    coap_udp_port: int | None = None
    api_port: int = 8180
    database: str = MEMORY
    # Where the authority and the devices' certificates are kept; without one, nowhere.
    data: Path | None = None
    clock_offset_s: int = 0
    # How far the timestamp of a signed HTTP request may be off; None, as the documents: any.
    max_http_skew_s: int | None = None

    # The whole packet (fixed header, remaining length field and body), not its remaining length.
    max_packet_bytes: int = 16 * 1024
    max_keepalive_s: int = 900
    # From a connection to the end of its TLS and WebSocket handshakes, and from there to CONNECT.
    opening_timeout_s: float = 20.0
    connect_timeout_s: float = 10.0
    # How long a closing connection may take to send what it still owes.
    linger_s: float = 2.0

    # QoS 1 messages for one device that are unacknowledged or stored, together.
    max_outstanding: int = 150
    session_expiry_s: int = 24 * 3600
    message_expiry_s: int = 24 * 3600
    stored_interval_ms: int = 500
    max_subscriptions: int = 200

    # How long an application waits for the answer to its call.
    rrpc_timeout_s: float = 10.0

    max_connections: int = 2000
    # A device that does not read loses QoS 0 messages beyond this many unsent bytes.
    max_unsent_bytes: int = 256 * 1024

    max_recorded_messages: int = 200_000
    max_recorded_events: int = 500_000
    sweep_interval_s: float = 60.0
