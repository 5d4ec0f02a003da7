// An emulated boot ROM, so that no ROM binary is needed. Every entry point is a breakpoint with a number,
// followed by a return; the work is done here when the core meets the breakpoint.

import { doubleTable, floatTable } from './rom_floats.mjs';
import { romFunctions } from './rom_functions.mjs';

const ROM_BYTES = 0x4000;
const BREAKPOINT = 0xbe00;
const RETURN = 0x4770; // bx lr
const THUMB = 1;
const ENTRY_LIMIT = 256; // a breakpoint's number has eight bits

const INITIAL_STACK = 0x20041f00;
const VECTORS = [0x04, 0x08, 0x0c]; // reset, non-maskable interrupt, hard fault
const MAGIC_AT = 0x10; // 'M', 'u', 1, then the version of the ROM
const ROM_VERSION = 2;
const FUNCTION_TABLE_POINTER = 0x14;
const DATA_TABLE_POINTER = 0x16;
const LOOKUP_POINTER = 0x18;
const FUNCTION_TABLE = 0x40;
const DATA_TABLE = 0x120;
const ENTRIES = 0x200;
const FLOAT_TABLE = 0x1000;
const DOUBLE_TABLE = 0x1100;
const EMPTY_TEXT = 0x1200;
const FLOAT_TABLE_ENTRIES = 32;

const codeOf = (name) => name.charCodeAt(0) | (name.charCodeAt(1) << 8);

class RomImage {
  constructor() {
    this.bytes = new Uint8Array(ROM_BYTES);
    this.handlers = [];
    this.nextEntry = ENTRIES;
  }

  halfword(at) {
    return this.bytes[at] | (this.bytes[at + 1] << 8);
  }

  setHalfword(at, value) {
    this.bytes[at] = value;
    this.bytes[at + 1] = value >> 8;
  }

  setWord(at, value) {
    this.setHalfword(at, value & 0xffff);
    this.setHalfword(at + 2, value >>> 16);
  }

  /** Adds an entry point that runs `handler`; returns its address. */
  addEntry(handler) {
    const at = this.nextEntry;
    if (this.handlers.length === ENTRY_LIMIT) throw new Error('the boot ROM has too many functions');
    this.setHalfword(at, BREAKPOINT | this.handlers.length);
    this.setHalfword(at + 2, RETURN);
    this.handlers.push(handler);
    this.nextEntry += 4;
    return at | THUMB;
  }

  /** Writes pairs of a code and a 16-bit pointer, ended by a zero. */
  addPairs(at, pairs) {
    let next = at;
    for (const [name, pointer] of pairs) {
      this.setHalfword(next, codeOf(name));
      this.setHalfword(next + 2, pointer);
      next += 4;
    }
    this.setHalfword(next, 0);
  }

  addFloatTable(at, handlers, missing) {
    this.bytes[at - 2] = FLOAT_TABLE_ENTRIES;
    handlers.forEach((handler, index) => {
      this.setWord(at + 4 * index, this.addEntry(handler ?? (() => missing(index))));
    });
  }
}

/**
 * Puts the emulated ROM into `mcu`. `onFault(what)` is called when the program cannot go on: it met a fault
 * vector, a breakpoint of its own, or a ROM function that is not provided.
 */
export function installBootRom(mcu, chip, onFault) {
  const rom = new RomImage();
  const { core } = mcu;
  const { registers } = core;

  const fault = rom.addEntry(() => onFault('the program reached a fault vector of the boot ROM'));
  rom.setWord(0, INITIAL_STACK);
  for (const vector of VECTORS) rom.setWord(vector, fault);
  rom.bytes.set([0x4d, 0x75, 1, ROM_VERSION], MAGIC_AT);

  const lookup = rom.addEntry(() => {
    const code = registers[1] & 0xffff;
    for (let at = registers[0] & (ROM_BYTES - 1); rom.halfword(at); at += 4) {
      if (rom.halfword(at) === code) {
        registers[0] = rom.halfword(at + 2);
        return;
      }
    }
    registers[0] = 0; // what the ROM answers; the SDK asks so for functions of later versions
  });
  const functions = Object.entries(romFunctions(mcu, chip, onFault));
  rom.addPairs(FUNCTION_TABLE, functions.map(([name, handler]) => [name, rom.addEntry(handler)]));
  const missing = (index) => onFault(`floating-point function ${index} of the boot ROM is not provided`);
  rom.addFloatTable(FLOAT_TABLE, floatTable(registers), missing);
  rom.addFloatTable(DOUBLE_TABLE, doubleTable(registers), missing);
  rom.addPairs(DATA_TABLE, [
    ['SF', FLOAT_TABLE],
    ['SD', DOUBLE_TABLE],
    ['GR', EMPTY_TEXT],
    ['CR', EMPTY_TEXT],
  ]);
  rom.setHalfword(FUNCTION_TABLE_POINTER, FUNCTION_TABLE);
  rom.setHalfword(DATA_TABLE_POINTER, DATA_TABLE);
  rom.setHalfword(LOOKUP_POINTER, lookup);

  mcu.bootrom.set(new Uint32Array(rom.bytes.buffer));
  mcu.onBreak = (number) => {
    const at = core.PC - 2;
    if (at < ROM_BYTES && rom.handlers[number]) rom.handlers[number]();
    else onFault(`the program met breakpoint ${number}`);
  };
}
