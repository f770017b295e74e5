// The machine's raw limits, as WebAssembly sees them: a loop of f32x4 multiplications and additions on 14
// accumulators, and a copy by vectors. Hand-assembled, so that no compiler of ours stands between.

const I32 = 0x7f;
const V128 = 0x7b;
const F32 = 0x7d;
const VOID = 0x40;

const get = (local: number): number[] => [0x20, local];
const set = (local: number): number[] => [0x21, local];
const i32 = (value: number): number[] => [0x41, ...signed(value)];
const simd = (op: number, ...rest: number[]): number[] => [0xfd, ...unsigned(op), ...rest];

const ADD = 0x6a;
const SUB = 0x6b;
const LOOP = [0x03, VOID];
const END = 0x0b;
const AGAIN = [0x0d, 0];
const F32_CONST = 0x43;
const VECTOR = { load: 0x00, store: 0x0b, splat: 0x13, lane: 0x1f, add: 0xe4, mul: 0xe6 };
const ALIGN_16 = 4;

/** Accumulators that fit the registers beside one constant. */
const ACCUMULATORS = 14;
/** Operations of a turn of the arithmetic loop: a multiplication and an addition for each lane. */
export const FLOPS_PER_TURN = ACCUMULATORS * 4 * 2;
/** Bytes that a turn of the copying loop reads; it writes as many. */
export const COPIED_PER_TURN = 64;

function unsigned(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  while (rest >= 128) {
    out.push((rest & 127) | 128);
    rest >>>= 7;
  }
  return [...out, rest];
}

function signed(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  while (rest < -64 || rest > 63) {
    out.push((rest & 127) | 128);
    rest >>= 7;
  }
  return [...out, rest & 127];
}

const sized = (bytes: number[]): number[] => [...unsigned(bytes.length), ...bytes];
const vector = (items: number[][]): number[] => [...unsigned(items.length), ...items.flat()];
const section = (id: number, items: number[][]): number[] => [id, ...sized(vector(items))];
const name = (text: string): number[] => sized([...new TextEncoder().encode(text)]);
const half = [...new Uint8Array(Float32Array.of(0.5).buffer)];

/** `arithmetic(turns)`: x = x * 0.5 + 0.5 on every lane, which tends to 1; gives a sum of lanes. */
function arithmetic(): number[] {
  const turns = 0;
  const constant = 1;
  const first = 2;
  const code = [F32_CONST, ...half, ...simd(VECTOR.splat), ...set(constant), ...LOOP];
  for (let i = 0; i < ACCUMULATORS; i++) {
    code.push(...get(first + i), ...get(constant), ...simd(VECTOR.mul));
    code.push(...get(constant), ...simd(VECTOR.add), ...set(first + i));
  }
  code.push(...get(turns), ...i32(1), SUB, 0x22, turns, ...AGAIN, END, ...get(first));
  for (let i = 1; i < ACCUMULATORS; i++) code.push(...get(first + i), ...simd(VECTOR.add));
  code.push(...simd(VECTOR.lane, 0), END);
  return sized([1, ACCUMULATORS + 1, V128, ...code]);
}

/** `copy(from, to, turns)`: 64 bytes a turn. */
function copy(): number[] {
  const [from, to, turns] = [0, 1, 2];
  const code = [...LOOP];
  for (let at = 0; at < COPIED_PER_TURN; at += 16) {
    code.push(...get(to), ...get(from), ...simd(VECTOR.load, ALIGN_16, at));
    code.push(...simd(VECTOR.store, ALIGN_16, at));
  }
  for (const pointer of [from, to]) {
    code.push(...get(pointer), ...i32(COPIED_PER_TURN), ADD, ...set(pointer));
  }
  code.push(...get(turns), ...i32(1), SUB, 0x22, turns, ...AGAIN, END, END);
  return sized([0, ...code]);
}

function moduleBytes(pages: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [
      [0x60, 1, I32, 1, F32],
      [0x60, 3, I32, I32, I32, 0],
    ]),
    ...section(3, [[0], [1]]),
    ...section(5, [[0, ...unsigned(pages)]]),
    ...section(7, [
      [...name('arithmetic'), 0, 0],
      [...name('copy'), 0, 1],
    ]),
    ...section(10, [arithmetic(), copy()]),
  ]);
}

export interface RawLoops {
  arithmetic(turns: number): number;
  copy(from: number, to: number, turns: number): void;
}

/** The loops over a memory of so many bytes. */
export function rawLoops(bytes: number): RawLoops {
  const module = new WebAssembly.Module(moduleBytes(Math.max(1, Math.ceil(bytes / 65536))));
  return new WebAssembly.Instance(module).exports as unknown as RawLoops;
}
