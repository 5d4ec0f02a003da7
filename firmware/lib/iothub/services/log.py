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
_ERROR_LETTERS = b"ERR"

MAX_LINE_BYTES = const(511)  # the C SDK's
MAX_KEPT_BYTES = const(5000)
_MAX_POST_BYTES = const(3000)
_MAX_SAVED_BYTES = const(1500)  # of a traceback that outlives a reset
_ENTRY_BYTES = const(24)  # what a list and the heap add to a line, about
_ENVELOPE_BYTES = const(140)  # of the body around the lines, with the longest names


class Log:
    """`stamp()` gives the time as text. `secrets` are texts that never leave. `journal`
    (store/journal.py) keeps the last traceback over a reset. Use like `logging`:
    log.info("%d degrees", celsius) formats only what is wanted."""

    def __init__(self, identity, stamp, secrets, journal):
        self.level = OFF
        self.dropped = 0  # lines, since the start
        self._identity = identity
        self._stamp = stamp
        self._secrets = list(filter(None, secrets))
        self._journal = journal
        self._kept = []  # lines, as bytes
        self._leaving = []  # the batch that is on its way, as text
        self._told = 0  # of the dropped lines, how many the cloud was told of
        saved = journal.load()
        self._saved = saved.split(b"\n") if saved else []
        self._is_journalled = bool(saved)

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
        except Exception:
            text = str(form)  # too many values, too few, or of the wrong kind: an infinite %d
        self._keep(self._line(level, text))

    def traceback(self, text, survives=False):
        """An exception's traceback (str), as errors. With `survives` it is there after a reset
        too. Raises StorageError."""
        lines = []
        for line in filter(None, text.split("\n")):
            lines.append(self._line(ERROR, line))
        if survives:
            # What happened stands at the end of a traceback.
            while _weight(lines) > _MAX_SAVED_BYTES:
                lines.pop(0)
            self._saved = lines
            self._is_journalled = True
            self._journal.save(b"\n".join(lines))
        else:
            for line in lines:
                self._keep(line)

    def _line(self, level, text):
        """At most MAX_LINE_BYTES (bytes), whole characters, without a secret."""
        text = text.replace("\n", " ").replace("\r", " ")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        line = ("%s|%s|%s" % (_LETTERS[level], self._stamp(), text)).encode()
        end = MAX_LINE_BYTES
        if len(line) > end:
            while line[end] & 0xC0 == 0x80:  # in the middle of a character
                end -= 1
        return line[:end]

    def _keep(self, line):
        """Makes room, too: the oldest that is no error goes first."""
        kept = self._kept
        kept.append(line)
        while _weight(kept) > MAX_KEPT_BYTES:
            for at in range(len(kept) - 1):
                if not kept[at].startswith(_ERROR_LETTERS):
                    break
            else:
                at = 0
            kept.pop(at)
            self.dropped += 1

    # The level

    def request(self):
        """The payload (str) that asks for the level; at every login."""
        return json.dumps({"type": "get_log_level", "clientToken": self._identity.product_id})

    def answer(self, topic, payload):
        """Takes a message of ANSWER_FAMILY (bytes): the level, asked for or not. False for what
        is not one."""
        try:
            message = json.loads(payload)
            level = message["log_level"]
            if message["type"] != "get_log_level" or message.get("result", 0) != 0:
                return False
            if type(level) is not int or not OFF <= level <= DEBUG:
                return False
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
            return False
        if level < self.level:
            self._kept = []
        self.level = level
        return True

    # Leaving

    def wants_to_leave(self, is_online):
        """Whether there is something to upload, now that MQTT is or is not online."""
        has_lines = self._leaving or self._saved or self._kept
        return bool(has_lines) and (self.level > OFF or not is_online)

    def batch(self):
        """The body (bytes) of the next upload: the same again until sent()."""
        leaving = self._leaving
        if not leaving:
            dropped = self.dropped - self._told
            if dropped:
                self._told = self.dropped
                leaving.append(self._line(WARNING, "%d lines were dropped" % dropped).decode())
            source = self._saved or self._kept
            posted_bytes = _ENVELOPE_BYTES
            while source:
                text = source[0].decode()
                posted_bytes += len(json.dumps(text).encode()) + 2
                if leaving and posted_bytes > _MAX_POST_BYTES:
                    break
                leaving.append(text)
                source.pop(0)
        fields = {
            "ProductId": self._identity.product_id,
            "DeviceName": self._identity.device_name,
            "Level": "ERR",  # the C SDK's, whatever the lines are
            "Message": leaving,
        }
        return json.dumps(fields).encode()

    def sent(self):
        """The batch has arrived. Raises StorageError."""
        self._leaving = []
        if self._is_journalled and not self._saved:
            self._is_journalled = False
            self._journal.save(b"")


def _weight(lines):
    weight = 0
    for line in lines:
        weight += len(line) + _ENTRY_BYTES
    return weight
