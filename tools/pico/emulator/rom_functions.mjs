// The boot ROM's functions that are found by a two-letter code (RP2040 datasheet, 2.8.3.1).

import { FLASH_END, FLASH_START, FLASH_WINDOW_BYTES, SRAM_SIZE_BYTES, SRAM_START } from './memory_map.mjs';

function reverseBits(word) {
  let reversed = 0;
  for (let bit = 0; bit < 32; bit++) reversed = (reversed << 1) | ((word >>> bit) & 1);
  return reversed >>> 0;
}

function countBits(word) {
  let count = 0;
  for (let rest = word; rest; rest = (rest & (rest - 1)) >>> 0) count++;
  return count;
}

function memoryFunctions(mcu) {
  const { core, sram, flash } = mcu;
  const { registers } = core;
  const inSram = (address, length) =>
    address >= SRAM_START && address + length <= SRAM_START + SRAM_SIZE_BYTES
      ? sram.subarray(address - SRAM_START, address - SRAM_START + length)
      : null;
  const readable = (address, length) => {
    const found = inSram(address, length);
    if (found || address < FLASH_START || address >= FLASH_END) return found;
    const offset = address & (FLASH_WINDOW_BYTES - 1);
    return flash.subarray(offset, offset + length);
  };
  return {
    copy() {
      const [to, from, length] = registers;
      const target = inSram(to, length);
      const source = readable(from, length);
      if (target && source) {
        target.set(source);
      } else {
        for (let i = 0; i < length; i++) {
          mcu.writeUint8((to + i) >>> 0, mcu.readUint8((from + i) >>> 0));
        }
      }
      core.cycles += length >> 1; // about what the ROM's own loop takes
    },
    fill() {
      const [to, value, length] = registers;
      const target = inSram(to, length);
      if (target) {
        target.fill(value & 0xff);
      } else {
        for (let i = 0; i < length; i++) mcu.writeUint8((to + i) >>> 0, value & 0xff);
      }
      core.cycles += length >> 2;
    },
  };
}

/** Handlers by code. `chip` is the flash chip that erasing and programming work on. */
export function romFunctions(mcu, chip, onFault) {
  const { registers } = mcu.core;
  const { copy, fill } = memoryFunctions(mcu);
  const nothing = () => {};
  return {
    P3: () => (registers[0] = countBits(registers[0])),
    R3: () => (registers[0] = reverseBits(registers[0])),
    L3: () => (registers[0] = Math.clz32(registers[0])),
    T3: () => (registers[0] = registers[0] ? 31 - Math.clz32(registers[0] & -registers[0]) : 32),
    MS: fill,
    S4: fill,
    MC: copy,
    C4: copy,
    IF: nothing, // connect the flash chip
    EX: nothing, // leave execute-in-place
    FC: nothing, // flush the cache: none is modelled
    CX: nothing, // enter execute-in-place
    RE: () => chip.erase(registers[0], registers[1]),
    RP: () => chip.program(registers[0], registers[1], registers[2]),
    UB: () => onFault('the program asked for the USB boot loader, which is not there'),
    WV: nothing, // wait for vector: the second core, which is not there
  };
}
