"""A board that runs MicroPython, at the other end of a serial port, spoken to through mpremote:
`make repl`, `make logs`, and what provisioning and deploying are built on."""
