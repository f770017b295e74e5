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
  | 'bits_f32'
  | 'is_nan'
  | 'fmin'
  | 'fmax'
  | 'frem'
  | 'fsqrt'
  | 'fexp'
  | 'flog'
  | 'ftanh'
  | 'fsin'
  | 'fcos';

/** The call that gives 0, which no compiler may know: made by whoever lays out the uniform block. */
export const ZERO_WORD = 'zero_word()';

// In the order in which they are written out: callees first, as people read them.
const HELPERS: { readonly [name in HelperName]: Helper } = {
  floor_div: {
    needs: [],
    code: `fn floor_div(a: i32, b: i32) -> i32 {
  if (b == 0) {
    return 0;
  }
  let r = a % b;
  return a / b - select(0, 1, r != 0 && (r ^ b) < 0);
}`,
  },
  floor_mod: {
    needs: [],
    code: `fn floor_mod(a: i32, b: i32) -> i32 {
  if (b == 0) {
    return 0;
  }
  let r = a % b;
  return r + select(0, b, r != 0 && (r ^ b) < 0);
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
  fexp: {
    needs: ['bits_f32', 'is_nan'],
    code: `fn fexp(x: f32) -> f32 {
  if (is_nan(x)) {
    return x;
  }
  if (x > 88.72284f) {
    return bits_f32(0x7f800000u);
  }
  if (x < -104.0f) {
    return 0.0f;
  }
  return exp(x);
}`,
  },
  // A subnormal number is its bits times 2^-149; arithmetic on it may flush it to zero.
  flog: {
    needs: ['bits_f32', 'is_nan'],
    code: `fn flog(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  if ((bits & 0x7fffffffu) == 0u) {
    return bits_f32(0xff800000u);
  }
  if (is_nan(x) || bits == 0x7f800000u) {
    return x;
  }
  if (bits > 0x7f800000u) {
    return bits_f32(0x7fc00000u);
  }
  if (bits < 0x00800000u) {
    return log(f32(bits)) - 103.27893f;
  }
  return log(x);
}`,
  },
  // Builtins make tanh of exponentials, which overflow for large arguments and lose the digits of
  // small ones; those get the polynomial of `expandMath`.
  ftanh: {
    needs: ['is_nan'],
    code: `fn ftanh(x: f32) -> f32 {
  if (is_nan(x)) {
    return x;
  }
  let z = x * x;
  if (z < 0.390625f) {
    let p = ((-5.70498872745e-3f * z + 2.06390887954e-2f) * z - 5.37397155531e-2f) * z;
    return x + x * z * ((p + 1.33314422036e-1f) * z - 3.33332819422e-1f);
  }
  return tanh(clamp(x, -10.0f, 10.0f));
}`,
  },
  fsin: {
    needs: ['bits_f32'],
    code: `fn fsin(x: f32) -> f32 {
  if ((bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u) {
    return bits_f32(0x7fc00000u);
  }
  return sin(x);
}`,
  },
  fcos: {
    needs: ['bits_f32'],
    code: `fn fcos(x: f32) -> f32 {
  if ((bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u) {
    return bits_f32(0x7fc00000u);
  }
  return cos(x);
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
