"""Puts the application and the library onto a board, compiled: `make deploy`."""
