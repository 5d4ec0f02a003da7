"""The ways in: TCP, TLS, TLS-PSK and WebSocket, as layers over one byte stream."""
