-- Times are hub time in milliseconds. `device` is PID/DN.
CREATE TABLE product (
    product_id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    auth TEXT NOT NULL CHECK (auth IN ('key', 'cert')),
    kind TEXT NOT NULL CHECK (kind IN ('normal', 'gateway')),
    secret TEXT NOT NULL,
    created_ms INTEGER NOT NULL
);

CREATE TABLE product_topic (
    product_id TEXT NOT NULL REFERENCES product (product_id),
    name TEXT NOT NULL,
    permission TEXT NOT NULL CHECK (permission IN ('pub', 'sub', 'both')),
    PRIMARY KEY (product_id, name)
) WITHOUT ROWID;

-- The secret is kept readable because the HMAC of a login needs it.
CREATE TABLE device (
    product_id TEXT NOT NULL REFERENCES product (product_id),
    name TEXT NOT NULL,
    secret TEXT,
    enabled INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    last_login_ms INTEGER,
    PRIMARY KEY (product_id, name)
) WITHOUT ROWID;

-- Persistent sessions only. `offline_since_ms` is null while the device is connected.
CREATE TABLE session (
    device TEXT PRIMARY KEY,
    offline_since_ms INTEGER
) WITHOUT ROWID;

CREATE TABLE subscription (
    device TEXT NOT NULL,
    topic TEXT NOT NULL,
    qos INTEGER NOT NULL,
    PRIMARY KEY (device, topic)
) WITHOUT ROWID;

-- QoS 1 messages a persistent session owes its device. `packet_id` is null until first sent.
CREATE TABLE outbound (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    packet_id INTEGER,
    accepted_ms INTEGER NOT NULL
);
CREATE INDEX outbound_by_device ON outbound (device, id);

-- What devices published.
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    device TEXT NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    dup INTEGER NOT NULL
);
CREATE INDEX message_by_topic ON message (topic, id);

-- What happened. `device` is null when nobody could be named; `detail` is a JSON object.
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    device TEXT,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX event_by_device ON event (device, id);

