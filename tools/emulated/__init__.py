"""An emulated Pico W with the firmware on its flash, connected to a hub: `make pico`."""
