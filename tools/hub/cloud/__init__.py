"""The vendor's cloud API (`iotcloud`) for what an application does: names, shapes and codes."""
