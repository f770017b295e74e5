// The bytes of a WebAssembly module as they are written: a buffer that grows, and the number formats.

const ENCODER = new TextEncoder();

/** A growing byte buffer with the number formats of WebAssembly. */
export class ByteWriter {
  #buffer: Uint8Array<ArrayBuffer>;
  #length = 0;

  constructor(capacity = 1024) {
    this.#buffer = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written, until more is. */
  view(start = 0, end = this.#length): Uint8Array {
    return this.#buffer.subarray(start, end);
  }

  byte(value: number): this {
    if (this.#length === this.#buffer.length) this.#reserve(1);
    this.#buffer[this.#length++] = value;
    return this;
  }

  bytes(values: ArrayLike<number>): this {
    this.#reserve(values.length);
    this.#buffer.set(values, this.#length);
    this.#length += values.length;
    return this;
  }

  /** Unsigned LEB128. */
  u32(value: number): this {
    if (value < 0x80) return this.byte(value);
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    return this.byte(rest);
  }

  /** Signed LEB128 of a number of 32 bits. */
  signed32(value: number): this {
    let rest = value | 0;
    while (rest < -64 || rest > 63) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>= 7;
    }
    return this.byte(rest & 0x7f);
  }

  /** Signed LEB128. */
  signed(value: bigint): this {
    let rest = value;
    while (rest < -64n || rest > 63n) {
      this.byte(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    return this.byte(Number(rest & 0x7fn));
  }

  littleEndian(bits: bigint, size: number): this {
    for (let i = 0; i < size; i++) this.byte(Number((bits >> BigInt(8 * i)) & 0xffn));
    return this;
  }

  /** A string as its UTF-8 length and bytes. */
  name(text: string): this {
    const start = this.#length;
    this.u32(text.length);
    this.#reserve(text.length);
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) {
        this.#length = start;
        const encoded = ENCODER.encode(text);
        return this.u32(encoded.length).bytes(encoded);
      }
      this.#buffer[this.#length++] = code;
    }
    return this;
  }

  /** What `write` appends, after its length. */
  sized(write: () => void): this {
    const start = this.#length;
    write();
    const content = this.#buffer.slice(start, this.#length);
    this.#length = start;
    return this.u32(content.length).bytes(content);
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(0, this.#length);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(2 * this.#buffer.length, this.#length + count));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}
