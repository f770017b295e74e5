// The 16-bit floats as numbers: IEEE half precision, and bfloat16 (the upper half of a float32).
// Invariant: rounding is to the nearest, of two the even one; NaN stays NaN.

const bits = new DataView(new ArrayBuffer(4));

/** The nearest half-precision number. */
export function roundHalf(x: number): number {
  const a = Math.abs(x);
  if (a >= 65520) return x > 0 ? Infinity : -Infinity;
  if (!(a > 0)) return x;
  // The place of the last bit: of 11 bits, or of a subnormal number.
  const e = Math.max(-14, Math.floor(Math.log2(a)) - (2 ** Math.floor(Math.log2(a)) > a ? 1 : 0));
  const unit = 2 ** (e - 10);
  const scaled = a / unit;
  const low = Math.floor(scaled);
  const rest = scaled - low;
  const up = rest > 0.5 || (rest === 0.5 && low % 2 === 1);
  return Math.sign(x) * (up ? low + 1 : low) * unit || (x < 0 ? -0 : 0);
}

/** The nearest bfloat16 number. */
export function roundBfloat(x: number): number {
  return bfloatValue(bfloatBits(x));
}

/** The number that 16 bits of half precision stand for. */
export function halfValue(h: number): number {
  const sign = h & 0x8000 ? -1 : 1;
  const [e, m] = [(h >> 10) & 31, h & 0x3ff];
  if (e === 31) return m ? Number.NaN : sign * Infinity;
  return sign * (e === 0 ? m * 2 ** -24 : (m + 1024) * 2 ** (e - 25));
}

/** The bits of the half-precision number nearest to a number. */
export function halfBits(x: number): number {
  if (Number.isNaN(x)) return 0x7e00;
  const y = roundHalf(x);
  const sign = Object.is(Math.sign(y), -0) || y < 0 ? 0x8000 : 0;
  const a = Math.abs(y);
  if (a === Infinity) return sign | 0x7c00;
  if (a < 2 ** -14) return sign | (a * 2 ** 24);
  const e = Math.floor(Math.log2(a));
  return sign | ((e + 15) << 10) | (a / 2 ** (e - 10) - 1024);
}

/** The number that 16 bits of bfloat16 stand for. */
export function bfloatValue(h: number): number {
  bits.setUint32(0, h * 65536);
  return bits.getFloat32(0);
}

/** The bits of the bfloat16 number nearest to a number. */
export function bfloatBits(x: number): number {
  if (Number.isNaN(x)) return 0x7fc0;
  bits.setFloat32(0, x);
  const word = bits.getUint32(0);
  const [low, last] = [word & 0xffff, (word >>> 16) & 1];
  // A double between two float32 is nearer to one of them than the float32 shows.
  const off = Math.abs(x) - Math.abs(bits.getFloat32(0));
  const half = low - 0x8000 || (Number.isFinite(x) ? Math.sign(off) : 0);
  const up = half > 0 || (half === 0 && last === 1);
  return (word >>> 16) + (up ? 1 : 0);
}
