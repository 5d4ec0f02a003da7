// The ring oscillator, whose random bit feeds os.urandom() and the entropy of Mbed TLS.

import { randomBytes } from 'node:crypto';
import { BasePeripheral } from 'rp2040js';
import { PERIPHERAL } from './memory_map.mjs';

const STATUS = 0x18;
const STATUS_STABLE_AND_ENABLED = 0x80001000;
const RANDOM_BIT = 0x1c;
const POOL_BYTES = 4096;

class RingOscillator extends BasePeripheral {
  registers = new Uint32Array(64);
  #pool = Buffer.alloc(0);
  #bitsUsed = 0;

  readUint32(offset) {
    if (offset === RANDOM_BIT) return this.#randomBit();
    if (offset === STATUS) return STATUS_STABLE_AND_ENABLED;
    return this.registers[offset >> 2];
  }

  writeUint32(offset, value) {
    this.registers[offset >> 2] = value;
  }

  #randomBit() {
    if (this.#bitsUsed === 8 * this.#pool.length) {
      this.#pool = randomBytes(POOL_BYTES);
      this.#bitsUsed = 0;
    }
    const bit = this.#bitsUsed++;
    return (this.#pool[bit >> 3] >> (bit & 7)) & 1;
  }
}

export function installRingOscillator(mcu) {
  mcu.peripherals[PERIPHERAL.ROSC] = new RingOscillator(mcu, 'ROSC');
}
