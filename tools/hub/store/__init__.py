"""SQLite behind the hub."""

from tools.hub.store.store import Store, StoreError

__all__ = ["Store", "StoreError"]
