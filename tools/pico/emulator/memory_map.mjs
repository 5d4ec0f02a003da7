// Addresses of the RP2040 (datasheet, section 2.2) and of the flash on a Pico W.

export const FLASH_START = 0x10000000;
export const FLASH_WINDOW_BYTES = 0x1000000; // one alias; four of them follow each other
export const FLASH_END = FLASH_START + 4 * FLASH_WINDOW_BYTES;
export const FLASH_SIZE_BYTES = 2 * 1024 * 1024;

export const SRAM_START = 0x20000000;
export const SRAM_SIZE_BYTES = 264 * 1024;

// Keys of rp2040js' peripheral table: the address without its last three hexadecimal digits.
export const PERIPHERAL = { SSI: 0x18000, RESETS: 0x4000c, IO_QSPI: 0x40018, WATCHDOG: 0x40058, ROSC: 0x40060 };
