-- Rules, as their makers wrote them: `actions` is the JSON list of the cloud API and may hold the
-- token that signs what is forwarded.
CREATE TABLE rule (
    name TEXT PRIMARY KEY,
    sql TEXT NOT NULL,
    actions TEXT NOT NULL,
    description TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    created_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- What the cloud API keeps of a product and a device beyond what the hub itself works with.
CREATE TABLE product_property (
    product_id TEXT PRIMARY KEY REFERENCES product (product_id) ON DELETE CASCADE,
    description TEXT NOT NULL,
    format TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE device_tag (
    product_id TEXT NOT NULL,
    device_name TEXT NOT NULL,
    tag TEXT NOT NULL,
    type INTEGER NOT NULL,
    value TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (product_id, device_name, tag),
    FOREIGN KEY (product_id, device_name) REFERENCES device (product_id, name) ON DELETE CASCADE
) WITHOUT ROWID;
