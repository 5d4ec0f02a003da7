// Keeps the content of the flash in a file, so that it outlives the emulator.

import fs from 'node:fs';
import { FLASH_SIZE_BYTES } from './memory_map.mjs';

const SAVE_INTERVAL_MS = 500;

export class FlashFile {
  /** `path` may be null: then nothing is kept. */
  constructor(path) {
    this.path = path;
    this.source = null;
  }

  /** Copies the file, if there is one, into `flash`. Throws an Error if it is larger than the chip. */
  load(flash) {
    if (!this.path || !fs.existsSync(this.path)) return;
    const content = fs.readFileSync(this.path);
    if (content.length > FLASH_SIZE_BYTES) {
      throw new Error(`${this.path} has ${content.length} bytes, the flash has ${FLASH_SIZE_BYTES}`);
    }
    flash.set(content);
  }

  /** Saves every half second what `source()`, a flash chip, changed. */
  follow(source) {
    this.source = source;
    setInterval(() => this.save(), SAVE_INTERVAL_MS).unref();
  }

  save() {
    const chip = this.source?.();
    if (!this.path || !chip?.changed) return;
    chip.changed = false;
    const unfinished = `${this.path}.${process.pid}`;
    fs.writeFileSync(unfinished, chip.mcu.flash.subarray(0, FLASH_SIZE_BYTES));
    fs.renameSync(unfinished, this.path);
  }
}
