"""Group commit: one transaction a loop tick, and acknowledgements leave only after it."""

import asyncio
import logging
from typing import Protocol

from tools.hub.store import Store, StoreError

_log = logging.getLogger("hub")


class Releasable(Protocol):
    """A connection that holds bytes back until what they acknowledge is recorded."""

    def release(self) -> None: ...
    def abort(self, reason: str) -> None: ...


class CommitCycle:
    """Commits what the last tick's packets recorded, then releases the answers to them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[Releasable, None] = {}
        self._scheduled = False
        self._stopped = False
        store.on_pending = self.schedule

    def schedule(self) -> None:
        if not self._scheduled and not self._stopped:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.run)

    def hold(self, connection: Releasable) -> None:
        """Call `connection.release()` after the next commit."""
        self._waiting[connection] = None
        self.schedule()

    def run(self) -> None:
        self._scheduled = False
        if self._stopped:
            return
        waiting, self._waiting = self._waiting, {}
        try:
            self._store.flush()
        except StoreError as error:
            _log.error("%s; %d connections closed unanswered", error, len(waiting))
            for connection in waiting:
                connection.abort("the hub could not record what the device sent")
        else:
            for connection in waiting:
                connection.release()

    def stop(self) -> None:
        """Schedule no more; whoever closes the store commits the rest."""
        self._stopped = True
