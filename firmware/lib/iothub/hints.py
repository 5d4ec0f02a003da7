"""What to do about an error. Loaded when a hint is asked for and dropped again (see errors.py)."""

_HINTS = (
    ("LoginRefused", 1, "The server does not speak MQTT 3.1.1 on this port; check host and port"),
    ("LoginRefused", 2, "Client id must be product id + device name; check both"),
    ("LoginRefused", 3, "The service is busy or under maintenance; the device keeps trying"),
    (
        "LoginRefused",
        4,
        "Check the device secret (copy it from the console again) and that the clock is not set"
        " to the past",
    ),
    (
        "LoginRefused",
        5,
        "Check that product and device exist in this region and that the device is enabled",
    ),
    ("BadInput", None, "Correct the value and try again; nothing was sent"),
    ("LinkError", -2, "The name was not found; check host, region and DNS"),
    ("LinkError", 2, "A file of the library is missing or damaged: deploy or update it anew"),
    ("LinkError", 12, "Free memory, or connect before the application allocates"),
    ("LinkError", 111, "Nothing listens there; check host and port, or start the hub (make hub)"),
    ("LinkError", 113, "No route; check that Wi-Fi is up and the address is right"),
    ("TlsError", 2001, "Install the root that signed the server (make trust), or check the host"),
    ("TlsError", 2002, "Check the device's clock; if it is right, the server must be renewed"),
    ("TlsError", 2003, "The device's clock is behind; let it be set (PSK login or SNTP) first"),
    ("TlsError", 2004, "Check host and region: the server is not the one that was meant"),
    (
        "TlsError",
        2005,
        "Check the device's certificate and key, or its secret (PSK), and that it is enabled; or"
        " no TLS 1.2 cipher suite is in common",
    ),
    ("TlsError", 2006, "Connect before the application allocates, or free memory first"),
    ("TlsError", 2007, "Check the port: 8883 is TLS, 1883 is not"),
    ("TlsError", None, "Check that server and device have a TLS 1.2 cipher suite in common"),
    ("LinkError", None, "The device reconnects by itself; if it repeats, check the network"),
    ("DeadlineError", None, "The link is slow or dead; the device reconnects by itself"),
    ("ProtocolError", None, "Check that host and port lead to the server meant"),
    ("SubscribeRefused", None, "Give the topic subscribe permission in the product's topic list"),
    ("ServiceRefused", 401, "Check that the device exists and is enabled, and its secret"),
    ("ServiceRefused", 403, "Give the topic publish permission in the product's topic list"),
    ("ServiceRefused", 404, "Check the address: there is no such service or file"),
    ("ServiceRefused", -1, "Not bound: bind the sub-device to this gateway first"),
    ("ServiceRefused", -2, "System error: the sub-device could not be moved; try again later"),
    ("ServiceRefused", 801, "Bad parameter: the service does not take this request"),
    ("ServiceRefused", 802, "Unknown device: check product id and device name in the console"),
    ("ServiceRefused", 803, "Bad signature: check the sub-device's secret, and the clock"),
    ("ServiceRefused", 804, "Bad sign method: use hmacsha1 or hmacsha256"),
    ("ServiceRefused", 805, "Request expired: check the device's clock"),
    ("ServiceRefused", 806, "Bound elsewhere: unbind it from the other gateway first"),
    ("ServiceRefused", 807, "Not a normal device: only those can be bound to a gateway"),
    ("ServiceRefused", 808, "Not allowed: check that this product is a gateway"),
    ("ServiceRefused", 809, "Bound already, to this gateway: go on with online()"),
    ("ServiceRefused", 810, "Unsupported: add the sub-device's product to this gateway's"),
    ("ServiceRefused", 1001, "Remote configuration is switched off: switch it on for the product"),
    (
        "ServiceRefused",
        3001,
        "Check the secret that signs: the product's for registration, else the device's",
    ),
    (
        "ServiceRefused",
        3002,
        "A quota is used up; raise the product's device limit in the console",
    ),
    (
        "ServiceRefused",
        3003,
        "Check product id and region; create the device in the console, or let registration do it",
    ),
    ("ServiceRefused", 3004, "Switch on dynamic registration for the product in the console"),
    (
        "ServiceRefused",
        3005,
        "The product wants keys and the device has a certificate, or the reverse; check both",
    ),
    ("ServiceRefused", 5000, "Incomplete: the shadow misses a field of the request"),
    ("ServiceRefused", 5001, "No shadow: the first report makes it"),
    ("ServiceRefused", 5004, "Bad parameter: the shadow does not take these values"),
    ("ServiceRefused", 5005, "Version mismatch: others change the shadow; it is tried again"),
    ("ServiceRefused", 5007, "Database error in the cloud: it is tried again"),
    ("ServiceRefused", 5008, "Version conflict: others change the shadow; it is tried again"),
    ("ServiceRefused", 5009, "Bad topic: check product id and device name"),
    ("ServiceRefused", 5010, "Update failed in the cloud: it is tried again"),
    ("ServiceRefused", 5011, "Too large: report fewer or shorter properties, or delete some"),
    ("ServiceRefused", 5100, "Internal error in the cloud: it is tried again"),
    ("ServiceRefused", None, "The text is the service's own; try again later if it is busy"),
    ("QueueFull", 28, "Remove files from the flash, or lower the bytes of the offline queue"),
    ("StorageError", 28, "Remove files from the flash"),
    ("StorageError", None, "Restart the device; if it repeats, the flash is worn or broken"),
    ("QueueFull", None, "Publish less often, or raise the limits of the offline queue"),
    ("UpdateError", -1, "The link is slow or dead; the download goes on where it stopped"),
    ("UpdateError", -2, "Upload the version's file again; the address leads to none"),
    ("UpdateError", -3, "The device reports its version again, and gets a new address"),
    ("UpdateError", -4, "Upload the version's file again; what came is not what was announced"),
    ("UpdateError", None, "Pack and sign it for this product and board: make ota-pack"),
    ("NotConnected", None, "Wait for the connection, or publish with QoS 1 to have it kept"),
)


def find(name, code):
    """The hint for an error class name and code; the entry without a code is the class's own."""
    general = ""
    for entry_name, entry_code, text in _HINTS:
        if entry_name == name:
            if entry_code == code:
                return text
            if entry_code is None:
                general = text
    return general
