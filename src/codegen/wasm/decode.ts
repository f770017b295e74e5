// The instructions of a function body from their bytes, for the text form. Reads what the assembler
// writes, whose instructions are all of the table; it checks nothing.

import { OPCODES, type Opcode } from './opcodes.ts';
import type { Instruction } from './wat.ts';

let byBytes: ReadonlyMap<string, Opcode> | undefined;

/** The instructions of a body. */
export function decode(bytes: Uint8Array): Instruction[] {
  byBytes ??= new Map([...OPCODES.values()].map((op) => [op.bytes.join(), op]));
  const reader = new Reader(bytes);
  const out: Instruction[] = [];
  while (!reader.isDone) {
    const op = reader.opcode(byBytes);
    out.push({ op, immediates: reader.immediates(op) });
  }
  return out;
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isDone(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** The instruction whose opcode bytes come next; none begins with those of another. */
  opcode(table: ReadonlyMap<string, Opcode>): Opcode {
    let key = '';
    for (;;) {
      key += key === '' ? this.#byte() : `,${this.#byte()}`;
      const op = table.get(key);
      if (op) return op;
    }
  }

  immediates(op: Opcode): (number | bigint)[] {
    switch (op.immediates) {
      case 'none':
        return [];
      case 'memory':
        this.#byte();
        return [];
      case 'local':
      case 'global':
      case 'func':
      case 'label':
        return [this.#u32()];
      case 'brtable':
        return Array.from({ length: this.#u32() + 1 }, () => this.#u32());
      case 'mem':
      case 'memlane': {
        const align = 2 ** this.#u32();
        const offset = this.#u32();
        return op.immediates === 'mem' ? [offset, align] : [offset, align, this.#byte()];
      }
      case 'i32':
        return [Number(this.#signed())];
      case 'i64':
        return [this.#signed()];
      case 'f32':
        this.#at += 4;
        return [BigInt(this.#view.getUint32(this.#at - 4, true))];
      case 'f64':
        this.#at += 8;
        return [this.#view.getBigUint64(this.#at - 8, true)];
      case 'block':
      case 'lane':
        return [this.#byte()];
      case 'shuffle':
      case 'v128':
        return Array.from({ length: 16 }, () => this.#byte());
    }
  }

  #byte(): number {
    return this.#bytes[this.#at++];
  }

  #u32(): number {
    let value = 0;
    for (let power = 1; ; power *= 0x80) {
      const byte = this.#byte();
      value += (byte & 0x7f) * power;
      if (byte < 0x80) return value;
    }
  }

  #signed(): bigint {
    let value = 0n;
    for (let shift = 0n; ; ) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte < 0x80) return BigInt.asIntN(Number(shift), value);
    }
  }
}
