-- The older service, IoT MQ: instances with their topics. The secret key is kept readable because
-- the HMAC of a login needs it.
CREATE TABLE iotmq_instance (
    instance_id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL,
    secret_id TEXT NOT NULL,
    secret_key TEXT NOT NULL,
    port INTEGER NOT NULL,
    created_ms INTEGER NOT NULL
);

CREATE TABLE iotmq_topic (
    instance_id TEXT NOT NULL REFERENCES iotmq_instance (instance_id),
    name TEXT NOT NULL,
    life_time_s INTEGER NOT NULL,
    max_bytes INTEGER NOT NULL,
    PRIMARY KEY (instance_id, name)
) WITHOUT ROWID;

CREATE TABLE iotmq_retained (
    instance_id TEXT NOT NULL REFERENCES iotmq_instance (instance_id),
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL,
    PRIMARY KEY (instance_id, topic)
) WITHOUT ROWID;

-- QoS 2 publishes of a persistent session's client that it has not released yet.
CREATE TABLE received (
    device TEXT NOT NULL,
    packet_id INTEGER NOT NULL,
    PRIMARY KEY (device, packet_id)
) WITHOUT ROWID;

-- Whether a client is owed a message because it subscribed to a topic that retains it.
ALTER TABLE outbound ADD COLUMN retained INTEGER NOT NULL DEFAULT 0;
