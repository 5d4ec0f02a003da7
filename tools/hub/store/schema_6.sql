-- Shadows. `present` is 0 for one that was deleted, which keeps its version; `parts` is a JSON object
-- with reported, desired and metadata.
CREATE TABLE shadow (
    device TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    present INTEGER NOT NULL,
    parts TEXT NOT NULL
) WITHOUT ROWID;

-- The sub-devices of gateways: a device has one gateway at most.
CREATE TABLE binding (
    sub_device TEXT PRIMARY KEY,
    gateway TEXT NOT NULL,
    bound_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- A product's configuration for all its devices, a JSON object.
CREATE TABLE remote_config (
    product_id TEXT PRIMARY KEY REFERENCES product (product_id) ON DELETE CASCADE,
    enabled INTEGER NOT NULL,
    content TEXT NOT NULL,
    updated_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- What a device is to upload of its log: 0 nothing to 4 everything. No row is 0.
CREATE TABLE log_level (
    device TEXT PRIMARY KEY,
    level INTEGER NOT NULL
) WITHOUT ROWID;
