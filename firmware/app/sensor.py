"""The simulated sensor: a room that loses heat to the outside and is warmed by a heater. Replace
it with the driver of yours."""

_OUTSIDE_CELSIUS = 12.0
_LOSS_PER_READING = 0.02
_HEATING_PER_READING = 0.4


class Room:
    def __init__(self, celsius=19.0):
        self.celsius = celsius
        self.heater_on = False

    def read(self):
        """The temperature in degrees Celsius. Every reading lets the room live on a little."""
        self.celsius -= (self.celsius - _OUTSIDE_CELSIUS) * _LOSS_PER_READING
        if self.heater_on:
            self.celsius += _HEATING_PER_READING
        return round(self.celsius, 2)
