-- The certificate of a device whose product logs in by one: DER, as its login shows it. Its private
-- key is not kept here.
ALTER TABLE device ADD COLUMN certificate BLOB;
