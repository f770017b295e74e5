// The WGSL functions that generated code calls where the operators and builtins of WGSL do not say
// what the IR says. Invariant: NaN and infinity are told by their bits, since WGSL lets an
// implementation assume that neither exists, and they are made from a word only known at run time.

interface Helper {
  /** Other helpers the text calls. */
  readonly needs: readonly HelperName[];
  readonly code: string;
}

/** The functions there are. */
export type HelperName =
  | 'floor_div'
  | 'floor_mod'
  | 'int_div'
  | 'int_rem'
  | 'mul_high'
  | 'to_int'
  | 'uint_div'
  | 'uint_rem'
  | 'to_uint'
  | 'bits_f32'
  | 'is_nan'
  | 'fmin'
  | 'fmax'
  | 'frem'
  | 'fsqrt'
  | 'fdiv'
  | 'ordered'
  | 'opaque'
  | 'half_bits'
  | 'half_from';

/** The call that gives 0, which no compiler may know: made by whoever lays out the uniform block. */
export const ZERO_WORD = 'zero_word()';

// In the order in which they are written out: callees first, as people read them.
const HELPERS: { readonly [name in HelperName]: Helper } = {
  floor_div: {
    needs: [],
    code: `fn floor_div(a: i32, b: i32) -> i32 {
  let q = a / b;
  let r = a - q * b;
  return select(q - select(0, 1, (r != 0) & ((r ^ b) < 0)), 0, b == 0);
}`,
  },
  floor_mod: {
    needs: [],
    code: `fn floor_mod(a: i32, b: i32) -> i32 {
  let r = a % b;
  return select(r + select(0, b, (r != 0) & ((r ^ b) < 0)), 0, b == 0);
}`,
  },
  // WGSL itself defines -2^31 / -1 as -2^31, but x / 0 as x.
  int_div: {
    needs: [],
    code: `fn int_div(a: i32, b: i32) -> i32 {
  return select(a / b, 0, b == 0);
}`,
  },
  int_rem: {
    needs: [],
    code: `fn int_rem(a: i32, b: i32) -> i32 {
  return select(a % b, 0, b == 0);
}`,
  },
  uint_div: {
    needs: [],
    code: `fn uint_div(a: u32, b: u32) -> u32 {
  return select(a / max(b, 1u), 0u, b == 0u);
}`,
  },
  uint_rem: {
    needs: [],
    code: `fn uint_rem(a: u32, b: u32) -> u32 {
  return select(a % max(b, 1u), 0u, b == 0u);
}`,
  },
  to_uint: {
    needs: ['is_nan'],
    code: `fn to_uint(x: f32) -> u32 {
  if (is_nan(x) || x <= 0.0f) {
    return 0u;
  }
  if (x >= 4294967296.0f) {
    return 4294967295u;
  }
  return u32(x);
}`,
  },
  mul_high: {
    needs: [],
    code: `fn mul_high(x: i32, y: i32) -> i32 {
  let a = bitcast<u32>(x);
  let b = bitcast<u32>(y);
  let al = a & 0xffffu;
  let ah = a >> 16u;
  let bl = b & 0xffffu;
  let bh = b >> 16u;
  let m = ah * bl + ((al * bl) >> 16u);
  let n = al * bh + (m & 0xffffu);
  return bitcast<i32>(ah * bh + (m >> 16u) + (n >> 16u));
}`,
  },
  bits_f32: {
    needs: [],
    code: `fn bits_f32(bits: u32) -> f32 {
  return bitcast<f32>(bits | ${ZERO_WORD});
}`,
  },
  is_nan: {
    needs: [],
    code: `fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}`,
  },
  to_int: {
    needs: ['is_nan'],
    code: `fn to_int(x: f32) -> i32 {
  if (is_nan(x)) {
    return 0;
  }
  if (x >= 2147483648.0f) {
    return 2147483647;
  }
  if (x <= -2147483648.0f) {
    return i32(-2147483648);
  }
  return i32(x);
}`,
  },
  fmin: {
    needs: ['is_nan'],
    code: `fn fmin(a: f32, b: f32) -> f32 {
  return select(select(min(a, b), b, is_nan(b)), a, is_nan(a));
}`,
  },
  fmax: {
    needs: ['is_nan'],
    code: `fn fmax(a: f32, b: f32) -> f32 {
  return select(select(max(a, b), b, is_nan(b)), a, is_nan(a));
}`,
  },
  // Long division of the mantissas, as the builtin operator loses all accuracy for large quotients.
  frem: {
    needs: ['bits_f32'],
    code: `fn frem(x: f32, y: f32) -> f32 {
  let a = bitcast<u32>(x) & 0x7fffffffu;
  let b = bitcast<u32>(y) & 0x7fffffffu;
  if (b == 0u || b > 0x7f800000u || a >= 0x7f800000u) {
    return bits_f32(0x7fc00000u);
  }
  if (a < b) {
    return x;
  }
  let ea = max(a >> 23u, 1u);
  let eb = max(b >> 23u, 1u);
  let ma = (a & 0x7fffffu) | select(0x800000u, 0u, a < 0x800000u);
  let mb = (b & 0x7fffffu) | select(0x800000u, 0u, b < 0x800000u);
  var m = ma % mb;
  for (var i = eb; i < ea; i++) {
    m = (m << 1u) % mb;
  }
  let sign = bitcast<u32>(x) & 0x80000000u;
  if (m == 0u) {
    return bits_f32(sign);
  }
  let shift = min(countLeadingZeros(m) - 8u, eb - 1u);
  return bits_f32(sign | (((eb - shift - 1u) << 23u) + (m << shift)));
}`,
  },
  // As unsigned words, infinity, NaN and everything with a minus sign lie above the finite numbers.
  fsqrt: {
    needs: ['bits_f32', 'is_nan'],
    code: `fn fsqrt(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  if (bits == 0u || bits == 0x80000000u || bits == 0x7f800000u || is_nan(x)) {
    return x;
  }
  if (bits > 0x7f800000u) {
    return bits_f32(0x7fc00000u);
  }
  return sqrt(x);
}`,
  },
  // WGSL promises nothing for divisors that are subnormal or whose reciprocal is.
  fdiv: {
    needs: ['bits_f32'],
    code: `fn fdiv(a: f32, b: f32) -> f32 {
  let size = bitcast<u32>(b) & 0x7fffffffu;
  if (size - 0x00800000u < 0x7e000000u) {
    return a / b;
  }
  let sign = (bitcast<u32>(a) ^ bitcast<u32>(b)) & 0x80000000u;
  let top = bitcast<u32>(a) & 0x7fffffffu;
  if (top > 0x7f800000u || size > 0x7f800000u || (top == size && (top == 0u || top == 0x7f800000u))) {
    return bits_f32(0x7fc00000u);
  }
  if (top == 0u || size == 0x7f800000u) {
    return bits_f32(sign);
  }
  if (size == 0u || top == 0x7f800000u) {
    return bits_f32(sign | 0x7f800000u);
  }
  if (size >= 0x00800000u) {
    return (a * 0.0625f) / (b * 0.0625f);
  }
  // The quotient is at least 2^-149 / 2^-126, so that only the larger ones overflow.
  let q = bitcast<f32>(top) / f32(size);
  return bits_f32(bitcast<u32>(q * 4294967296.0f * 4294967296.0f * 4294967296.0f * 4294967296.0f * 2097152.0f) | sign);
}`,
  },
  ordered: {
    needs: [],
    code: `fn ordered(a: f32, b: f32) -> bool {
  return max(bitcast<u32>(a) & 0x7fffffffu, bitcast<u32>(b) & 0x7fffffffu) <= 0x7f800000u;
}`,
  },
  // What no compiler may take apart: what is lost in a sum is found by undoing the sum.
  opaque: {
    needs: [],
    code: `fn opaque(x: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(x) | ${ZERO_WORD});
}`,
  },
  // Bits only: WGSL promises neither how f16 and f32 are converted nor that subnormals and NaN survive it.
  half_bits: {
    needs: [],
    code: `fn half_bits(x: f16) -> i32 {
  return bitcast<i32>(vec2<f16>(x, f16()));
}`,
  },
  half_from: {
    needs: [],
    code: `fn half_from(bits: i32) -> f16 {
  return bitcast<vec2<f16>>(bits).x;
}`,
  },
};

/** The text of the functions in `used` and of those they call, in a fixed order. */
export function libraryText(used: ReadonlySet<HelperName>): string[] {
  const all = new Set<HelperName>();
  const add = (name: HelperName): void => {
    all.add(name);
    HELPERS[name].needs.forEach(add);
  };
  used.forEach(add);
  const names = Object.keys(HELPERS) as HelperName[];
  return names.filter((n) => all.has(n)).map((n) => HELPERS[n].code);
}
