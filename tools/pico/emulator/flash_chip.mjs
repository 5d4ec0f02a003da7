// The flash chip: what the ROM's erase and program functions do to it, and the commands a program sends it
// over SPI for its size and its unique number.

import { BasePeripheral } from 'rp2040js';
import { FLASH_SIZE_BYTES, PERIPHERAL } from './memory_map.mjs';

const UNIQUE_ID = [0xe6, 0x61, 0x64, 0x08, 0x43, 0x21, 0x5a, 0x2c];
const UNIQUE_ID_AT = 5; // after the command and four bytes without meaning
const READ_STATUS_1 = 0x05;
const READ_STATUS_2 = 0x35;
const QUAD_ENABLED = 0x02;
const READ_UNIQUE_ID = 0x4b;
const READ_JEDEC_ID = 0x9f;
const JEDEC_ID = [0xef, 0x40, Math.log2(FLASH_SIZE_BYTES)]; // a Winbond W25Q of that size

const SSI_RX_LEVEL = 0x24;
const SSI_STATUS = 0x28;
const SSI_DATA = 0x60;
const SSI_TRANSMIT_EMPTY = 0x06; // "not full" and "empty"
const SSI_RECEIVE_NOT_EMPTY = 0x08;

const CHIP_SELECT_CONTROL = 0x0c;
const OUTPUT_OVERRIDE_SHIFT = 8;
const OVERRIDE_LOW = 2;

export class FlashChip {
  constructor(mcu) {
    this.changed = false;
    this.mcu = mcu;
    this.selected = false;
    this.command = null;
    this.position = 0;
    this.answers = [];
    this.#connectChipSelect();
    this.#connectSerialInterface();
  }

  erase(offset, length) {
    this.mcu.flash.fill(0xff, offset, offset + length);
    this.changed = true;
  }

  /** Programming can only clear bits, as on a real chip. */
  program(offset, from, length) {
    const { flash } = this.mcu;
    for (let i = 0; i < length; i++) flash[offset + i] &= this.mcu.readUint8((from + i) >>> 0);
    this.changed = true;
  }

  #select(low) {
    if (low && !this.selected) {
      this.command = null;
      this.position = 0;
      this.answers.length = 0;
    }
    this.selected = low;
  }

  /** Takes one byte from the program and returns the one that is clocked out at the same time. */
  #exchange(byte) {
    const position = this.position++;
    if (position === 0) {
      this.command = byte;
      return 0;
    }
    switch (this.command) {
      case READ_JEDEC_ID:
        return JEDEC_ID[position - 1] ?? 0;
      case READ_UNIQUE_ID:
        return position >= UNIQUE_ID_AT ? UNIQUE_ID[(position - UNIQUE_ID_AT) % UNIQUE_ID.length] : 0;
      case READ_STATUS_1:
        return 0; // never busy: erasing and programming take no time here
      case READ_STATUS_2:
        return QUAD_ENABLED;
      default:
        return 0;
    }
  }

  #connectChipSelect() {
    const select = (low) => this.#select(low);
    class QspiPins extends BasePeripheral {
      registers = new Uint32Array(64);

      readUint32(offset) {
        return this.registers[offset >> 2];
      }

      writeUint32(offset, value) {
        this.registers[offset >> 2] = value;
        if (offset === CHIP_SELECT_CONTROL) select(((value >>> OUTPUT_OVERRIDE_SHIFT) & 3) === OVERRIDE_LOW);
      }
    }
    this.mcu.peripherals[PERIPHERAL.IO_QSPI] = new QspiPins(this.mcu, 'IO_QSPI');
  }

  #connectSerialInterface() {
    const ssi = this.mcu.peripherals[PERIPHERAL.SSI];
    const read = ssi.readUint32.bind(ssi);
    const write = ssi.writeUint32.bind(ssi);
    ssi.readUint32 = (offset) => {
      if (!this.selected) return read(offset);
      if (offset === SSI_STATUS) {
        return SSI_TRANSMIT_EMPTY | (this.answers.length ? SSI_RECEIVE_NOT_EMPTY : 0);
      }
      if (offset === SSI_DATA) return this.answers.shift() ?? 0;
      return offset === SSI_RX_LEVEL ? this.answers.length : read(offset);
    };
    ssi.writeUint32 = (offset, value) => {
      if (this.selected && offset === SSI_DATA) this.answers.push(this.#exchange(value & 0xff));
      else write(offset, value);
    };
  }
}
