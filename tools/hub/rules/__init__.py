"""The rule engine: what devices say, selected by SQL, passed on to devices and to HTTP servers."""
