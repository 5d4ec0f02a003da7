"""The CoAP gateway of devices: publishing, after an authentication that gives a token."""
