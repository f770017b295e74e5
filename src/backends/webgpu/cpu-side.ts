// The CPU device that stands beside a GPU's: it runs what is placed there, and holds the values and
// variables of dtypes that WGSL lacks. It is opened when it is first needed. Invariant: a variable's name
// is in the list exactly while it holds a value that a finished run or a caller gave it.

import type { DType } from '../../core/dtype.ts';
import { DTYPES, dtypeInfo } from '../../core/dtype.ts';
import type { HostTensor } from '../../core/ndarray.ts';
import { readingPlan, type VariableType, writingPlan } from '../../plan/variable-plans.ts';
import type { Device, DeviceOptions, DeviceValue, Executable, RunBindings } from '../backend.ts';
import { cpuBackend } from '../cpu/backend.ts';
import { CountedValue } from './value.ts';

/** The dtypes that kernels in WGSL can't compute with, nor pass on: an element is at most a word. */
export const LACKS: ReadonlySet<DType> = new Set(DTYPES.filter((d) => dtypeInfo(d).bytes > 4));

/** A value of such a dtype that the user holds. */
export class CpuSideValue extends CountedValue {
  readonly inner: DeviceValue;

  /** Takes over a value of the CPU device. */
  constructor(inner: DeviceValue) {
    super(inner.dtype, inner.shape);
    this.inner = inner;
  }

  protected fetch(): HostTensor | Promise<HostTensor> {
    return this.inner.read();
  }

  protected free(): void {
    this.inner.dispose();
  }
}

const NOTHING: RunBindings = Object.freeze({ feeds: [], sizes: [], run: 0 });

/** How a variable is read and set by runs. */
interface Access {
  readonly read: Executable;
  readonly write: Executable;
}

/** The CPU's part of a session on a GPU. */
export class CpuSide {
  readonly #options: DeviceOptions;
  readonly #names = new Set<string>();
  readonly #access = new Map<string, Access>();
  #device: Device | undefined;

  constructor(options: DeviceOptions) {
    this.#options = options;
  }

  /** The device; its runs wait until it is ready. */
  get device(): Device {
    this.#device ??= cpuBackend().open(this.#options);
    return this.#device;
  }

  async put(value: HostTensor): Promise<CpuSideValue> {
    await this.device.ready;
    return new CpuSideValue(await this.device.put(value));
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** Throws UnsupportedError `session/sync` in a page. */
  readVariable(name: string): HostTensor | undefined {
    return this.device.readVariable(name);
  }

  writeVariable(name: string, value: HostTensor): void {
    this.device.writeVariable(name, value);
    this.#names.add(name);
  }

  /** The value that a variable has on the device, be it in the list or not. */
  async fetchVariable(variable: VariableType): Promise<HostTensor> {
    const [value] = await this.#accessTo(variable).read.run(NOTHING);
    return value;
  }

  /** Begins writes that may have to be undone; `keep`: the run may fail after them. */
  async begin(variables: readonly VariableType[], keep: boolean): Promise<CpuWrites> {
    const writes = new CpuWrites(this.#names, variables);
    if (!keep) return writes;
    await this.device.ready;
    try {
      for (const variable of variables) {
        if (!this.#names.has(variable.name)) continue;
        const { read, write } = this.#accessTo(variable);
        const [old] = await read.keep(NOTHING);
        writes.add(old, write);
      }
    } catch (error) {
      writes.commit();
      throw error;
    }
    return writes;
  }

  #accessTo(variable: VariableType): Access {
    let access = this.#access.get(variable.name);
    if (!access) {
      const [read, write] = [readingPlan(variable), writingPlan(variable)];
      access = { read: this.device.compile(read), write: this.device.compile(write) };
      this.#access.set(variable.name, access);
    }
    return access;
  }

  close(): void {
    this.#device?.close();
  }
}

/** Variables that a run writes on the CPU: {@link commit} or {@link undo} ends it. */
export class CpuWrites {
  readonly #names: Set<string>;
  readonly #variables: readonly VariableType[];
  readonly #old: { readonly value: DeviceValue; readonly write: Executable }[] = [];

  constructor(names: Set<string>, variables: readonly VariableType[]) {
    this.#names = names;
    this.#variables = variables;
  }

  /** Keeps a variable's value from before the run, with what puts it back. */
  add(value: DeviceValue, write: Executable): void {
    this.#old.push({ value, write });
  }

  commit(): void {
    for (const { name } of this.#variables) this.#names.add(name);
    for (const { value } of this.#old) value.dispose();
  }

  async undo(): Promise<void> {
    for (const { value, write } of this.#old) {
      await write.run({ ...NOTHING, feeds: [value] });
      value.dispose();
    }
  }
}
