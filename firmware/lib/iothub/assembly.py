"""Puts a device together. Loaded for that moment and let go of (iothub.loading)."""

from time import ticks_diff, ticks_ms

from iothub import config as configuration
from iothub import port
from iothub.clock import Clock
from iothub.errors import BadInput
from iothub.loading import for_now, let_go
from iothub.net.session import Session
from iothub.profiles import IoTHub
from iothub.services.ntp import ANSWER_FAMILY

let_go("iothub.config")


def configured(path, network):
    """The Config of a file, the device being registered first if that has to be. Raises what
    Device.from_file() does."""
    try:
        fields = configuration.read(path)
        is_whole = not isinstance(fields, dict) or not fields.get("product_secret")
    except BadInput:
        is_whole = False  # perhaps cut off in the middle of a registration
    if not is_whole:
        fields = for_now("iothub.net.register").run(path, port, network)
    return configuration.Config(fields)


def assemble(device, config, on_event, network):
    """The parts of a Device, by its Config."""
    device.settings = config.app
    device.config = config.__dict__  # not the object: its class, once used, is let go of
    device.identity = identity = config.identity
    device.clock = Clock(ticks_ms, ticks_diff)
    device.last_error = None
    device.listeners = []
    device.chip = port
    device._on_event = on_event
    device._time_journal = None
    if config.transport in ("auto", "tls", "wss"):
        from iothub.store.journal import Journal

        device._time_journal = Journal(device.storage, "time")
    device.network = network = network or port.Network(config.network, device.tell)
    layers = for_now("iothub.net.access")
    access = layers.Access(config, network, port, device._time_journal)
    device.transport = access.transport
    device._proof = access.proof
    device._names = {}
    device._expiry_from_clock = False
    device._distrust_clock = False
    device._hear_time = None
    device.profile = IoTHub(identity)
    device.session = Session(
        access.endpoint,
        device._login,
        device.profile,
        config.keepalive_s,
        config.clean_session,
        layers.queue_of(config.queue, device),
        None,
        device._session_event,
    )
    # QoS 0: a stored answer would be an old one.
    device.session.register(identity.system_topic(ANSWER_FAMILY), device._time_answer, 0)
