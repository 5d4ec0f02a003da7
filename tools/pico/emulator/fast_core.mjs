// Makes rp2040js' core several times as fast: the decoder becomes a switch over a table with an entry for each
// of the 65,536 possible first halfwords, and memory accesses look at RAM and flash before anything else.
// What instructions do, and the cycles they take, stays as it is.

import { readDecoder, unexpected } from './decoder_source.mjs';
import { SRAM_SIZE_BYTES, SRAM_START } from './memory_map.mjs';

const HALFWORDS = 0x10000;
const APB_START = 0x40000000;
const SIO_START = 0xd0000000;
const LAST_INTERRUPT = 25;

const isWide = (opcode) => opcode >> 12 === 0b1111 || opcode >> 11 === 0b11101;

/** Gives each first halfword the number of its branch; wide instructions share a number of their own. */
function classify(patterns, unknown, wide) {
  const kinds = new Uint8Array(HALFWORDS);
  for (let opcode = 0; opcode < HALFWORDS; opcode++) {
    const found = patterns.findIndex((matches) => matches !== null && matches(opcode));
    if (isWide(opcode)) {
      if (found >= 0) throw unexpected('a wide instruction told by its first half');
      kinds[opcode] = wide;
    } else {
      kinds[opcode] = found < 0 ? unknown : found;
    }
  }
  return kinds;
}

function generate({ constants, branches }, patterns, wide) {
  const otherwise =
    "throw new Error('unknown instruction 0x' + opcode.toString(16) + ' at 0x' + opcodePC.toString(16));";
  const narrowCases = branches.map(({ action }, index) =>
    patterns[index] === null
      ? ''
      : `case ${index}: {${action.replace(/this\.registers/g, 'coreRegisters')} break; }`,
  );
  const wideChain = branches
    .filter((_, index) => patterns[index] === null)
    .map(({ pattern, action }) => `if (${pattern}) {${action}}`)
    .join(' else ');
  return `${constants}
    const flash16 = mcu.flash16, sram16 = new Uint16Array(mcu.sram.buffer), coreRegisters = core.registers;
    return function () {
      if (this.interruptsUpdated && this.checkForInterrupts()) this.waiting = false;
      const opcodePC = coreRegisters[15] & ~1;
      const opcode = (opcodePC >>> 24) === 0x10 ? flash16[(opcodePC & 0xffffff) >> 1]
        : (opcodePC >>> 20) === 0x200 && (opcodePC & 0xfffff) < ${SRAM_SIZE_BYTES}
          ? sram16[(opcodePC & 0xfffff) >> 1] : this.readUint16(opcodePC);
      coreRegisters[15] = opcodePC + 2;
      let deltaCycles = 1;
      switch (kinds[opcode]) {
        ${narrowCases.join('\n')}
        case ${wide}: {
          const secondPC = opcodePC + 2;
          const opcode2 = (secondPC >>> 24) === 0x10 ? flash16[(secondPC & 0xffffff) >> 1]
            : this.readUint16(secondPC);
          ${wideChain} else ${otherwise}
          break;
        }
        default: ${otherwise}
      }
      this.cycles += deltaCycles;
      return deltaCycles;
    }`;
}

function buildDecoder(mcu) {
  const decoder = readDecoder();
  const { branches } = decoder;
  const unknown = branches.length;
  const wide = branches.length + 1;
  const patterns = branches.map(({ pattern }) =>
    pattern.includes('opcode2') ? null : new Function('opcode', `return ${pattern}`),
  );
  const names = ['mcu', 'core', 'kinds', 'APB_START_ADDRESS', 'SIO_START_ADDRESS', 'MAX_HARDWARE_IRQ'];
  const build = new Function(...names, generate(decoder, patterns, wide));
  const kinds = classify(patterns, unknown, wide);
  return build(mcu, mcu.core, kinds, APB_START, SIO_START, LAST_INTERRUPT);
}

function shortenMemoryAccess(mcu) {
  const { core, sram, sramView, flash, flashView } = mcu;
  const inFlash = (address) => address >>> 24 === 0x10;
  core.readUint32 = (address) => {
    const offset = (address >>> 0) - SRAM_START;
    if (offset >= 0 && offset + 3 < SRAM_SIZE_BYTES) return sramView.getUint32(offset, true);
    if (inFlash(address) && !(address & 3)) return flashView.getUint32(address & 0xffffff, true);
    return mcu.readUint32(address >>> 0);
  };
  core.readUint16 = (address) => {
    const offset = (address >>> 0) - SRAM_START;
    if (offset >= 0 && offset + 1 < SRAM_SIZE_BYTES) return sramView.getUint16(offset, true);
    return mcu.readUint16(address >>> 0);
  };
  core.readUint8 = (address) => {
    const offset = (address >>> 0) - SRAM_START;
    if (offset >= 0 && offset < SRAM_SIZE_BYTES) return sram[offset];
    return inFlash(address) ? flash[address & 0xffffff] : mcu.readUint8(address >>> 0);
  };
  core.writeUint32 = (address, value) => {
    const offset = (address >>> 0) - SRAM_START;
    if (offset >= 0 && offset + 3 < SRAM_SIZE_BYTES) sramView.setUint32(offset, value, true);
    else mcu.writeUint32(address >>> 0, value);
  };
  core.writeUint16 = (address, value) => {
    const offset = (address >>> 0) - SRAM_START;
    if (offset >= 0 && offset + 1 < SRAM_SIZE_BYTES) sramView.setUint16(offset, value, true);
    else mcu.writeUint16(address >>> 0, value);
  };
  core.writeUint8 = (address, value) => {
    const offset = (address >>> 0) - SRAM_START;
    if (offset >= 0 && offset < SRAM_SIZE_BYTES) sram[offset] = value;
    else mcu.writeUint8(address >>> 0, value);
  };
}

export function makeFast(mcu) {
  mcu.core.executeInstruction = buildDecoder(mcu);
  shortenMemoryAccess(mcu);
}
