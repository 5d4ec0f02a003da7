-- Versions of a product's firmware; the files are beside the database, named by their MD5.
CREATE TABLE firmware (
    product_id TEXT NOT NULL REFERENCES product (product_id) ON DELETE CASCADE,
    version TEXT NOT NULL,
    md5 TEXT NOT NULL,
    size INTEGER NOT NULL,
    uploaded_ms INTEGER NOT NULL,
    PRIMARY KEY (product_id, version)
) WITHOUT ROWID;

-- What a device is to run, and how far that is; one update a device.
CREATE TABLE firmware_update (
    device TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    state TEXT NOT NULL,
    percent INTEGER NOT NULL,
    result_code INTEGER NOT NULL,
    result_msg TEXT NOT NULL,
    updated_ms INTEGER NOT NULL,
    plain_http INTEGER NOT NULL
) WITHOUT ROWID;

-- What a device said that it runs.
CREATE TABLE running_version (
    device TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    reported_ms INTEGER NOT NULL
) WITHOUT ROWID;
