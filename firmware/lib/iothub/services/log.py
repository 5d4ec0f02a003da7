"""The device's log in the cloud: document "设备日志" and PROTOCOL section 9. Pure: time and the
journal are handed in, and others send.

The cloud says which level it wants, when asked and by itself. As the vendor's C SDK has it, 0 does
not mean that nothing is kept: errors still are, and leave when MQTT has failed; and a level that
is lowered empties the log.
"""

import json

from iothub.compat import const

REQUEST_FAMILY = b"$log/operation"
ANSWER_FAMILY = b"$log/operation/result"
PATH = "/device/reportlog"
PHASE = "log"

OFF = const(0)
ERROR = const(1)
WARNING = const(2)
INFO = const(3)
DEBUG = const(4)
_LETTERS = ("", "ERR", "WRN", "INF", "DBG")

MAX_LINE_BYTES = const(511)  # the C SDK's
MAX_KEPT_BYTES = const(5000)
_MAX_POST_BYTES = const(3000)
_MAX_SAVED_BYTES = const(1500)  # of a traceback that outlives a reset
_ENTRY_BYTES = const(24)  # what a list and the heap add to a line, about
_ENVELOPE_BYTES = const(140)  # of the body around the lines, with the longest names


class Log:
    """`stamp()` gives the time as text. `secrets` are texts that never leave. `journal`
    (store/journal.py, or None) keeps the last traceback over a reset. Use like `logging`:
    log.info("%d degrees", celsius) formats only what is wanted."""

    def __init__(self, identity, stamp, secrets=(), journal=None):
        self.level = OFF
        self.dropped = 0  # lines, since the start
        self._identity = identity
        self._stamp = stamp
        self._secrets = [secret for secret in secrets if secret]
        self._journal = journal
        self._kept = []
        self._kept_bytes = 0
        self._leaving = []  # the batch that is on its way
        self._leaves_saved = False
        self._untold = 0  # dropped lines the cloud was not told of
        self._requests = 0
        saved = journal.load() if journal is not None else None
        self._saved = _lines(saved) if saved else []

    # Writing

    def error(self, form, *values):
        self.write(ERROR, form, values)

    def warning(self, form, *values):
        self.write(WARNING, form, values)

    def info(self, form, *values):
        self.write(INFO, form, values)

    def debug(self, form, *values):
        self.write(DEBUG, form, values)

    def write(self, level, form, values=()):
        """A line, if `level` is wanted. Never raises for what is written."""
        if level > self.level and level != ERROR:
            return
        try:
            text = form % values if values else str(form)
        except (TypeError, ValueError):
            text = str(form)  # the wrong number of values, or of the wrong kind
        self._keep(self._line(level, text))

    def traceback(self, text, survives=False):
        """An exception's traceback (str), as errors. With `survives` it is there after a reset
        too. Raises StorageError."""
        lines = [self._line(ERROR, line) for line in text.split("\n") if line]
        if not survives or self._journal is None:
            for line in lines:
                self._keep(line)
            return
        # What happened stands at the end of a traceback.
        while sum([_weight(line) for line in lines]) > _MAX_SAVED_BYTES:
            lines.pop(0)
        self._saved = lines
        self._journal.save("\n".join(lines).encode())

    def _line(self, level, text):
        text = text.replace("\n", " ").replace("\r", " ")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _cut("%s|%s|%s" % (_LETTERS[level], self._stamp(), text))

    def _keep(self, line):
        self._kept.append(line)
        self._kept_bytes += _weight(line)
        while self._kept_bytes > MAX_KEPT_BYTES:
            self._drop()

    def _drop(self):
        """Makes room: the oldest that is no error goes first."""
        at = 0
        for i in range(len(self._kept) - 1):
            if not self._kept[i].startswith(_LETTERS[ERROR]):
                at = i
                break
        self._kept_bytes -= _weight(self._kept.pop(at))
        self.dropped += 1
        self._untold += 1

    # The level

    def request(self):
        """The payload (bytes) that asks for the level; at every login."""
        token = "%s-%d" % (self._identity.product_id, self._requests)
        self._requests += 1
        return json.dumps({"type": "get_log_level", "clientToken": token}).encode()

    def answer(self, payload):
        """Takes a message of ANSWER_FAMILY (bytes): the level, asked for or not. False for what
        is not one."""
        try:
            message = json.loads(payload)
            level = message["log_level"]
            if message["type"] != "get_log_level" or message.get("result", 0) != 0:
                return False
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
            return False
        if type(level) is not int or not OFF <= level <= DEBUG:
            return False
        if level < self.level:
            self._kept = []
            self._kept_bytes = 0
        self.level = level
        return True

    # Leaving

    def wants_to_leave(self, is_online):
        """Whether there is something to upload, now that MQTT is or is not online."""
        has_lines = self._leaving or self._saved or self._kept
        return bool(has_lines) and (self.level > OFF or not is_online)

    def batch(self):
        """The body (bytes) of the next upload: the same again until sent()."""
        if not self._leaving:
            self._gather()
        fields = {
            "ProductId": self._identity.product_id,
            "DeviceName": self._identity.device_name,
            "Level": _LETTERS[ERROR],  # the C SDK's, whatever the lines are
            "Message": self._leaving,
        }
        return json.dumps(fields).encode()

    def sent(self):
        """The batch has arrived. Raises StorageError."""
        self._leaving = []
        if self._leaves_saved and not self._saved:
            self._leaves_saved = False
            self._journal.save(b"")

    def _gather(self):
        leaving = self._leaving
        if self._untold:
            leaving.append(self._line(WARNING, "%d lines were dropped" % self._untold))
            self._untold = 0
        source = self._kept
        if self._saved:
            self._leaves_saved = True
            source = self._saved
        posted_bytes = _ENVELOPE_BYTES
        while source:
            line = source[0]
            posted_bytes += len(json.dumps(line).encode()) + 2
            if leaving and posted_bytes > _MAX_POST_BYTES:
                break
            leaving.append(source.pop(0))
            if source is self._kept:
                self._kept_bytes -= _weight(line)


def _weight(line):
    return len(line.encode()) + _ENTRY_BYTES


def _cut(line):
    """At most MAX_LINE_BYTES of a line, whole characters."""
    data = line.encode()
    if len(data) <= MAX_LINE_BYTES:
        return line
    end = MAX_LINE_BYTES
    while data[end] & 0xC0 == 0x80:  # in the middle of a character
        end -= 1
    return data[:end].decode()


def _lines(saved):
    try:
        return [line for line in saved.decode().split("\n") if line]
    except ValueError:
        return []
