"""The HTTP gateway of devices: registration, publishing and log upload, each a signed POST."""
