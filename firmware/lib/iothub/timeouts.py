"""Every wait of the library, in one table. Milliseconds unless the name says otherwise."""

from iothub.compat import const

# Joining a Wi-Fi network, and how often to look whether it worked.
WIFI_JOIN_MS = const(20000)
WIFI_POLL_MS = const(100)
# From the start of a device that sleeps (cycle.py) until it sleeps again, whatever happens.
AWAKE_MS = const(60000)
# What the sleep after failed wakes grows by at most.
SLEEP_LAST_MS = const(6 * 3600 * 1000)
# Opening a TCP connection, from the first packet to an established one.
TCP_CONNECT_MS = const(15000)
# The opening handshake of WebSocket, which includes the one of TLS below it.
WEBSOCKET_HANDSHAKE_MS = const(20000)
# CONNECT given to the stream until CONNACK. It includes the TLS handshake, which takes seconds on
# an RP2040. The vendor's SDKs clamp theirs to 20 s at most.
CONNACK_MS = const(20000)
# PUBLISH, SUBSCRIBE or UNSUBSCRIBE until its acknowledgement; then the link counts as dead and
# the packet is sent again, with DUP, on the next one.
ACKNOWLEDGE_MS = const(20000)
# PINGREQ until anything arrives.
PINGRESP_MS = const(10000)
# Bytes accepted from the application but not by the socket.
WRITE_STALL_MS = const(20000)
# What a coroutine of the library waits for at most: a connection, an acknowledgement through an
# outage, the server's word on a subscription.
DELIVERY_MS = const(120000)
# How often time passes for the protocol engine.
TICK_MS = const(1000)
# Reconnect: full jitter over a range that doubles from the first to the last of these.
BACKOFF_FIRST_MS = const(1000)
BACKOFF_LAST_MS = const(60000)
# A connection that held this long was good: the next failure starts from the first again.
STABLE_MS = const(30000)
# The same after a refused login (CONNACK 4 or 5), which a quick retry does not cure.
REFUSED_FIRST_MS = const(15000)
REFUSED_LAST_MS = const(600000)
# An SNTP request until its answer.
SNTP_MS = const(3000)
# A $sys time request until its answer is worth nothing.
TIME_ANSWER_MS = const(5000)
# How long a login made with a known clock is valid. The documents' samples say 600 to 86,400 s.
LOGIN_VALID_S = const(86400)
# Between time requests once the clock is set, and while it is not.
TIME_REFRESH_MS = const(6 * 3600 * 1000)
TIME_RETRY_MS = const(10000)
# An HTTP request given to the stream until the head of its response. It includes the TLS
# handshake. The vendor's C SDK waits 10 s for TLS alone.
HTTP_RESPONSE_MS = const(20000)
# Between two pieces of an HTTP body, and for the whole of one that is read in one go.
HTTP_STALL_MS = const(20000)
HTTP_BODY_MS = const(30000)
# How often time passes for the services over MQTT while one of them waits.
SERVICE_TICK_MS = const(250)
# A shadow request until its answer, after which it is sent again; the vendor's samples say 5 s.
SHADOW_ANSWER_MS = const(5000)
# From a shadow that fails or does not answer to the next attempt.
SHADOW_PAUSE_MS = const(60000)
# A handler for desired values, after which it is cancelled.
SHADOW_HANDLER_MS = const(60000)
# A call from the cloud (RRPC): from when on its handler counts as late, by the SDKs, and when the
# cloud waits no longer, by the documents; then the handler is cancelled.
RRPC_AIM_MS = const(4000)
RRPC_LIMIT_MS = const(10000)
# Without a call: until the code for calls is let go of. Most devices get none, or many.
RRPC_QUIET_MS = const(60000)
# A request of a gateway until its answer. The vendor's C SDK waits 20 s, the one in Python 1.5 s.
GATEWAY_ANSWER_MS = const(10000)
# A request for the remote configuration until its answer.
CONFIG_ANSWER_MS = const(5000)
# Between two reports of how far a download is; the vendor's SDKs do it as often.
OTA_PROGRESS_MS = const(1000)
# From a reported version until the new URL that it brings.
OTA_URL_MS = const(30000)
# Before the restart after an update, for what is still to be acknowledged.
OTA_FLUSH_MS = const(10000)
# From the start of a version on trial until it has joined the network, has a connection (TLS
# included) and is logged in; from then on for the application's own check.
TRIAL_NETWORK_MS = const(300000)
TRIAL_LINK_MS = const(420000)
TRIAL_LOGIN_MS = const(600000)
TRIAL_CHECK_MS = const(120000)
# A version that was confirmed before, until the failed starts since are forgotten.
STABLE_START_MS = const(60000)
# The event loop, until the watchdog resets the chip: DNS and an RSA signature block it.
WATCH_LOOP_MS = const(60000)
# Before the restart that an update asks for: the application's words may still leave.
UPDATE_RESTART_MS = const(1000)
# Lines of the log wait so long for others to be uploaded with; the vendor's C SDK waits as long.
LOG_FLUSH_MS = const(2000)
# After an upload that failed.
LOG_RETRY_MS = const(30000)
# A CoAP request until its acknowledgement, when it is sent again; the wait doubles up to the
# second. Both are the vendor's C SDK's: its default, and the most it lets users set.
COAP_ACK_MS = const(2000)
COAP_ACK_LAST_MS = const(5000)
# From an acknowledgement until the response that follows it.
COAP_RESPONSE_MS = const(20000)
# The DTLS handshake, its retransmissions included.
COAP_HANDSHAKE_MS = const(20000)
