"""The hub's HTTP API, for the loopback interface only."""
