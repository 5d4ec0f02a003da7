"""Engines and time services with one fault each, which the fuzz must find: without them nobody
knows that it could. "real" is the thing itself."""

import json

from iothub.errors import IoTHubError
from iothub.mqtt.engine import Engine
from iothub.services.ntp import Ntp


class TrustsLengths(Engine):
    """Reads the last byte of a topic without looking whether it is there."""

    def _publish_in(self, first, at, stop):
        rx = self._rx
        rx[at + 1 + (rx[at] << 8 | rx[at + 1])]
        Engine._publish_in(self, first, at, stop)


class RaisesUntyped(Engine):
    """Tells a wrong packet with an error of the interpreter."""

    def received(self, count):
        typed = None
        try:
            Engine.received(self, count)
        except IoTHubError as e:
            typed = e
        if typed is not None:
            raise ValueError(typed.reason)


class GrowsForEver(Engine):
    """Makes room for whatever size is announced."""

    def _make_space(self, at, body, stop, end):
        if stop - at < 200000:
            self._rx = bytearray(stop - at + 1)
            self._rx_view = memoryview(self._rx)
            return True
        return Engine._make_space(self, at, body, stop, end)


class KeepsHalfAPacket(Engine):
    """Goes on, on a new link, where the old one broke off."""

    def connect(self, *args):
        used = self._rx_used
        Engine.connect(self, *args)
        self._rx_used = used


class LosesStep(Engine):
    """Skips one byte too few of a large packet."""

    def _make_space(self, at, body, stop, end):
        result = Engine._make_space(self, at, body, stop, end)
        if self._skip:
            self._skip -= 1
        return result


class ForgetsTheWindow(Engine):
    """Loses what was in flight when the link breaks."""

    def closed(self):
        self.in_flight.clear()
        self._window_bytes = 0
        Engine.closed(self)


class AcknowledgesTwice(Engine):
    """Believes a PUBACK again."""

    def _puback(self, packet_id):
        for record in self.in_flight:
            if record.packet_id == packet_id and record.token is not None:
                self._driver.acknowledged(record.token)
        Engine._puback(self, packet_id)


class LosesAcknowledgements(Engine):
    """Sends no PUBACK any more once its buffer grew."""

    def _acknowledge(self, packet_id):
        if len(self._rx) == 1024:
            Engine._acknowledge(self, packet_id)


ENGINES = {
    "real": Engine,
    "TrustsLengths": TrustsLengths,
    "RaisesUntyped": RaisesUntyped,
    "GrowsForEver": GrowsForEver,
    "KeepsHalfAPacket": KeepsHalfAPacket,
    "LosesStep": LosesStep,
    "ForgetsTheWindow": ForgetsTheWindow,
    "AcknowledgesTwice": AcknowledgesTwice,
    "LosesAcknowledgements": LosesAcknowledgements,
}


class TrustsJson(Ntp):
    """Takes an answer for what it should be."""

    def _times(self, payload):
        message = json.loads(payload)
        return message["ntptime1"], message["ntptime2"]


class BelievesAnything(Ntp):
    """Checks that the times are numbers, but not what they say."""

    def answer(self, payload, ticks):
        times = self._times(payload)
        return times and (times[0] + times[1]) // 2


class GoesDeaf(Ntp):
    """Believes nothing any more after an absurd answer."""

    def answer(self, payload, ticks):
        return None if self.absurd else Ntp.answer(self, payload, ticks)


TIME_SERVICES = {
    "real": Ntp,
    "TrustsJson": TrustsJson,
    "BelievesAnything": BelievesAnything,
    "GoesDeaf": GoesDeaf,
}
