-- Dynamic registration: off, preset (names the product has) or auto (new names too, up to the
-- limit), and the authority of a customer's own whose certificates the product's devices have (DER).
ALTER TABLE product ADD COLUMN registration TEXT NOT NULL DEFAULT 'off';
ALTER TABLE product ADD COLUMN registration_limit INTEGER NOT NULL DEFAULT 0;
ALTER TABLE product ADD COLUMN authority BLOB;

-- Whether registration created the device: those are what the limit counts.
ALTER TABLE device ADD COLUMN registered INTEGER NOT NULL DEFAULT 0;
