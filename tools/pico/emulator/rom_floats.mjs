// The boot ROM's floating-point tables (RP2040 datasheet, 2.8.3.2), done with JavaScript's doubles.
// Arguments and results are in the core's registers, as in the Arm calling convention: a float or an
// integer takes one register, a double or a 64-bit integer takes two.

const floatView = new Float32Array(1);
const floatBits = new Uint32Array(floatView.buffer);
const doubleView = new Float64Array(1);
const doubleBits = new Uint32Array(doubleView.buffer);

const INT32 = [-(2 ** 31), 2 ** 31 - 1];
const UINT32 = [0, 2 ** 32 - 1];
const INT64 = [-(1n << 63n), (1n << 63n) - 1n];
const UINT64 = [0n, (1n << 64n) - 1n];

/** Conversions to integers round down and stay at the ends of the range; not-a-number gives 0. */
function saturate(value, [low, high]) {
  if (Number.isNaN(value)) return 0;
  const whole = Math.floor(value);
  return whole < low ? low : whole > high ? high : whole;
}

function saturate64(value, [low, high]) {
  if (Number.isNaN(value)) return 0n;
  const whole = Math.floor(value);
  return whole >= Number(high) ? high : whole <= Number(low) ? low : BigInt(whole);
}

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function registerAccess(registers) {
  return {
    float(index) {
      floatBits[0] = registers[index];
      return floatView[0];
    },
    double(index) {
      doubleBits[0] = registers[index];
      doubleBits[1] = registers[index + 1];
      return doubleView[0];
    },
    giveFloat(value) {
      floatView[0] = value;
      registers[0] = floatBits[0];
    },
    giveDouble(value) {
      doubleView[0] = value;
      registers[0] = doubleBits[0];
      registers[1] = doubleBits[1];
    },
    giveInt(value) {
      registers[0] = value;
    },
    giveInt64(value) {
      const bits = BigInt.asUintN(64, value);
      registers[0] = Number(bits & 0xffffffffn);
      registers[1] = Number(bits >> 32n);
    },
    int: (index) => registers[index] | 0,
    uint: (index) => registers[index],
    uint64: () => (BigInt(registers[1]) << 32n) | BigInt(registers[0]),
    int64: () => BigInt.asIntN(64, (BigInt(registers[1]) << 32n) | BigInt(registers[0])),
  };
}

/**
 * One table for both formats. `left` and `right` read the arguments, `give` returns the result, and
 * `shift` reads the number of fractional bits that follows a floating-point argument.
 */
function table({ access, left, right, give, shift, convert }) {
  const { giveInt, giveInt64, int, uint, int64, uint64 } = access;
  const unary = (operation) => () => give(operation(left()));
  const binary = (operation) => () => give(operation(left(), right()));
  const comparison = () => giveInt(compare(left(), right()));
  return [
    binary((a, b) => a + b), // 0x00 add
    binary((a, b) => a - b), // 0x04 subtract
    binary((a, b) => a * b), // 0x08 multiply
    binary((a, b) => a / b), // 0x0c divide
    comparison, // 0x10 compare (fast)
    null, // 0x14 compare into the flags: unused by the SDK
    unary(Math.sqrt), // 0x18
    () => giveInt(saturate(left(), INT32)), // 0x1c to int
    () => giveInt(saturate(left() * 2 ** shift(), INT32)), // 0x20 to fixed point
    () => giveInt(saturate(left(), UINT32)), // 0x24 to unsigned int
    () => giveInt(saturate(left() * 2 ** shift(), UINT32)), // 0x28 to unsigned fixed point
    () => give(int(0)), // 0x2c from int
    () => give(int(0) * 2 ** -int(1)), // 0x30 from fixed point
    () => give(uint(0)), // 0x34 from unsigned int
    () => give(uint(0) * 2 ** -int(1)), // 0x38 from unsigned fixed point
    unary(Math.cos), // 0x3c
    unary(Math.sin), // 0x40
    unary(Math.tan), // 0x44
    null, // 0x48 sine and cosine: deprecated
    unary(Math.exp), // 0x4c
    unary(Math.log), // 0x50
    comparison, // 0x54 compare
    binary(Math.atan2), // 0x58
    () => give(Number(int64())), // 0x5c from int64
    () => give(Number(int64()) * 2 ** -int(2)), // 0x60 from 64-bit fixed point
    () => give(Number(uint64())), // 0x64 from uint64
    () => give(Number(uint64()) * 2 ** -int(2)), // 0x68 from unsigned 64-bit fixed point
    () => giveInt64(saturate64(left(), INT64)), // 0x6c to int64
    () => giveInt64(saturate64(left() * 2 ** shift(), INT64)), // 0x70 to 64-bit fixed point
    () => giveInt64(saturate64(left(), UINT64)), // 0x74 to uint64
    () => giveInt64(saturate64(left() * 2 ** shift(), UINT64)), // 0x78 to unsigned 64-bit fixed point
    convert, // 0x7c to the other format
  ];
}

/** Handlers in ROM order; null where the ROM's own function is not provided. */
export function floatTable(registers) {
  const access = registerAccess(registers);
  return table({
    access,
    left: () => access.float(0),
    right: () => access.float(1),
    give: access.giveFloat,
    shift: () => access.int(1),
    convert: () => access.giveDouble(access.float(0)),
  });
}

export function doubleTable(registers) {
  const access = registerAccess(registers);
  return table({
    access,
    left: () => access.double(0),
    right: () => access.double(2),
    give: access.giveDouble,
    shift: () => access.int(2),
    convert: () => access.giveFloat(access.double(0)),
  });
}
