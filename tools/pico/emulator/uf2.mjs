// Reads a UF2 file: 512-byte blocks, each with an address and up to 476 bytes for it.

import { FLASH_SIZE_BYTES, FLASH_START } from './memory_map.mjs';

const BLOCK_BYTES = 512;
const PAYLOAD_LIMIT_BYTES = 476;
const MAGIC_START = 0x0a324655;
const MAGIC_SECOND = 0x9e5d5157;
const MAGIC_END = 0x0ab16f30;
const FLAG_NOT_FOR_FLASH = 0x00000001;
const FLAG_FAMILY_GIVEN = 0x00002000;
const FAMILY_RP2040 = 0xe48bff56;

/** Lays the blocks of `image` over `flash`. Throws an Error if it is not a UF2 image for the RP2040. */
export function loadUf2(image, flash) {
  if (image.length === 0 || image.length % BLOCK_BYTES !== 0) {
    throw new Error(`not a UF2 image: its length ${image.length} is no multiple of ${BLOCK_BYTES}`);
  }
  for (let offset = 0; offset < image.length; offset += BLOCK_BYTES) {
    const block = image.subarray(offset, offset + BLOCK_BYTES);
    const word = (at) => block.readUInt32LE(at);
    if (word(0) !== MAGIC_START || word(4) !== MAGIC_SECOND || word(BLOCK_BYTES - 4) !== MAGIC_END) {
      throw new Error(`not a UF2 image: block ${offset / BLOCK_BYTES} has no magic numbers`);
    }
    const flags = word(8);
    if (flags & FLAG_NOT_FOR_FLASH) continue;
    if (flags & FLAG_FAMILY_GIVEN && word(28) !== FAMILY_RP2040) {
      throw new Error(`the UF2 image is for another chip: family 0x${word(28).toString(16)}`);
    }
    const length = word(16);
    const at = word(12) - FLASH_START;
    if (length > PAYLOAD_LIMIT_BYTES || at < 0 || at + length > FLASH_SIZE_BYTES) {
      throw new Error(`UF2 block ${offset / BLOCK_BYTES} does not fit the flash`);
    }
    flash.set(block.subarray(32, 32 + length), at);
  }
}
