"""Misbehaviour on request: what the hub does wrong, to whom, and how often.

Nothing here acts by itself. The broker asks what to do where a fault could strike, and only while
`armed`; unarmed, a fault costs one attribute look-up.
"""

from dataclasses import asdict, dataclass
from typing import Any

from tools.hub import events
from tools.hub.events import Records

MAX_ARMED = 100
MAX_DELAY_MS = 3_600_000
_ABSURD_TIME = '{"type":"get","time":-1,"ntptime1":99999999999999999999,"ntptime2":"soon"}'


class FaultError(Exception):
    """A fault that cannot be armed. The text says which field and the rule."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a fault does; parameters by name: (default, least, most), or (default,) for text."""

    help: str
    parameters: dict[str, tuple[Any, ...]]


_DELAY = {"delay_ms": (1000, 0, MAX_DELAY_MS)}
KINDS = {
    "connack": Kind("refuse a CONNECT with this code", {"code": (3, 1, 255)}),
    "forget_session": Kind("lose the stored session before the next login", {}),
    "drop_after_bytes": Kind(
        "read this many more bytes, then close the connection", {"bytes": (0, 0, 1 << 20)}
    ),
    "drop_at_packet": Kind("close the connection at the device's next packet, unanswered", {}),
    "blackhole": Kind(
        "neither read nor write, but keep the socket", {"duration_ms": (600_000, 1, MAX_DELAY_MS)}
    ),
    "delay": Kind("hold back one write to the device", _DELAY),
    "puback_withhold": Kind("do not acknowledge a publish", {}),
    "puback_late": Kind("acknowledge a publish late", _DELAY),
    "puback_duplicate": Kind("acknowledge a publish twice", {}),
    "puback_wrong_id": Kind("acknowledge a packet id the device did not use", {}),
    "suback_failure": Kind("answer every filter of a SUBSCRIBE with 0x80", {}),
    "duplicate_publish": Kind("send a message to the device twice", {}),
    "oversize_publish": Kind(
        "send the device a payload of this many bytes on PID/DN/control",
        {"payload_bytes": (16 * 1024, 1, 1 << 20)},
    ),
    "answer_withhold": Kind("do not answer a request to a $ service (but $sys)", {}),
    "answer_late": Kind("answer a request to a $ service (but $sys) late", _DELAY),
    "shadow_refuse": Kind(
        "refuse a shadow request with this code, undone", {"code": (5100, 5000, 5100)}
    ),
    "gateway_refuse": Kind(
        "refuse every sub-device of a request with this code, undone", {"code": (-2, -2, 810)}
    ),
    "http_late": Kind("answer a request over HTTP late", _DELAY),
    "http_refuse": Kind(
        "refuse a request over HTTP with this code", {"code": ("AuthFailure.SignatureFailure",)}
    ),
    "http_status": Kind(
        "answer a request over HTTP with this status", {"status": (500, 400, 599)}
    ),
    "http_cut": Kind(
        "close the connection after so many bytes of the body of an answer over HTTP",
        {"bytes": (0, 0, 1 << 16)},
    ),
    "ota_status": Kind(
        "answer a request for firmware with this status", {"status": (403, 300, 599)}
    ),
    "ota_expired": Kind("offer an update with an address that has expired", {}),
    "ota_wrong_md5": Kind("offer an update with an MD5 that is not the file's", {}),
    "ota_no_range": Kind("serve firmware whole, whatever part was asked for", {}),
    "ota_wrong_range": Kind(
        "serve a part of firmware that begins so much later than asked for",
        {"shift": (1, -(1 << 26), 1 << 26)},
    ),
    "ota_truncate": Kind(
        "serve firmware that lacks so many bytes at its end, and say so",
        {"bytes": (1, 1, 1 << 26)},
    ),
    "ota_cut": Kind(
        "close the connection after so many bytes of firmware", {"bytes": (0, 0, 1 << 26)}
    ),
    "ota_stall": Kind(
        "send nothing more after so many bytes of firmware, and then hang up",
        {"bytes": (0, 0, 1 << 26), "duration_ms": (60_000, 1, MAX_DELAY_MS)},
    ),
    "ota_slow": Kind(
        "serve firmware at so many bytes a second", {"bytes_per_s": (10_000, 1, 1 << 30)}
    ),
    "coap_lose": Kind("take a datagram of CoAP for lost", {}),
    "coap_late": Kind(
        "acknowledge a request over CoAP now, and send its response so much later", _DELAY
    ),
    "coap_refuse": Kind(
        "refuse a request over CoAP with this code, such as 500 for 5.00",
        {"code": (500, 400, 599)},
    ),
    "time_wrong": Kind(
        "answer $sys with a time that is off", {"offset_ms": (3_600_000, -(10**15), 10**15)}
    ),
    "time_late": Kind("answer $sys late", _DELAY),
    "time_absurd": Kind("answer $sys with this payload", {"payload": (_ABSURD_TIME,)}),
}


@dataclass(slots=True)
class Fault:
    """One armed fault. `device` is PID/DN or None for all; `count` None means until cleared."""

    fault_id: int
    kind: str
    device: str | None
    count: int | None
    parameters: dict[str, Any]


class Faults:
    """The armed faults, oldest first."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._faults: list[Fault] = []
        self._last_id = 0
        self.armed = False

    def arm(
        self, kind: str, device: str | None, count: int | None, parameters: dict[str, Any]
    ) -> Fault:
        """Add a fault. Raises FaultError when it makes no sense."""
        if kind not in KINDS:
            raise FaultError(f"kind: unknown fault {kind!r}; there are {', '.join(KINDS)}")
        if count is not None and count < 1:
            raise FaultError("count: at least 1, or null for 'until cleared'")
        if len(self._faults) >= MAX_ARMED:
            raise FaultError(f"at most {MAX_ARMED} faults are armed at once; clear some")
        checked = _check_parameters(KINDS[kind], parameters)
        self._last_id += 1
        fault = Fault(self._last_id, kind, device, count, checked)
        self._faults.append(fault)
        self.armed = True
        self._records.event(
            events.FAULT, device, action="armed", fault=kind, count=count, **checked
        )
        return fault

    def listing(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._faults]

    def clear(self) -> None:
        self._faults.clear()
        self.armed = False
        self._records.event(events.FAULT, None, action="cleared")

    def take(self, kind: str, device: str | None) -> dict[str, Any] | None:
        """Use up one count of a fault that strikes `device` now; its parameters, or None."""
        for fault in self._faults:
            if fault.kind == kind and fault.device in (None, device):
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count == 0:
                        self._faults.remove(fault)
                        self.armed = bool(self._faults)
                self._records.event(events.FAULT, device, action="struck", fault=kind)
                return fault.parameters
        return None

    def strikes(self, kind: str, device: str | None) -> bool:
        """`take` for a fault without parameters."""
        return self.take(kind, device) is not None

    def delay_ms(self, kind: str, device: str | None) -> int:
        parameters = self.take(kind, device)
        return int(parameters["delay_ms"]) if parameters else 0

    def pubacks(self, device: str, packet_id: int) -> list[tuple[int, int]]:
        """The acknowledgements a publish gets, as (delay in ms, packet id)."""
        if self.strikes("puback_withhold", device):
            return []
        if self.strikes("puback_wrong_id", device):
            return [(0, packet_id % 65535 + 1)]
        if self.strikes("puback_duplicate", device):
            return [(0, packet_id), (0, packet_id)]
        return [(self.delay_ms("puback_late", device), packet_id)]


def _check_parameters(kind: Kind, given: dict[str, Any]) -> dict[str, Any]:
    checked = {name: bounds[0] for name, bounds in kind.parameters.items()}
    for name, value in given.items():
        if name not in kind.parameters:
            known = ", ".join(kind.parameters) or "none"
            raise FaultError(f"{name}: not a parameter of this fault, which has {known}")
        default, *bounds = kind.parameters[name]
        if type(value) is not type(default):
            raise FaultError(f"{name}: must be a {type(default).__name__}")
        if bounds and not bounds[0] <= value <= bounds[1]:
            raise FaultError(f"{name}: must be {bounds[0]} to {bounds[1]}")
        checked[name] = value
    return checked
