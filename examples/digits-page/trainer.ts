// The model and its sessions: one at a time, on the backend chosen. What was learnt goes along when the
// backend changes.

import * as tl from 'tensorloom';
import { batchOf, type Digits, PIXELS, shuffled } from '../digits/data.ts';
import { buildModel } from '../digits/model.ts';

const RATE = 0.001;
/** Digits of the held-out set that an evaluation takes. */
const EVALUATED = 500;

/** Trains and answers. */
export class Trainer {
  readonly #train: Digits;
  readonly #heldOut: Digits;
  readonly #graph = new tl.Graph();
  readonly #model: ReturnType<typeof buildModel>;
  readonly #probabilities: tl.Tensor;
  readonly #variables: readonly tl.Variable[];
  #session: tl.Session | undefined;
  #order: number[] = [];
  #at = 0;
  steps = 0;

  constructor(train: Digits, heldOut: Digits) {
    this.#train = train;
    this.#heldOut = batchOf(
      heldOut,
      Array.from({ length: EVALUATED }, (_, i) => i),
    );
    const made = this.#graph.asDefault(() => {
      const model = buildModel(7);
      return {
        model,
        probabilities: tl.softmax(model.logits),
        variables: tl.globalVariables(),
      };
    });
    this.#model = made.model;
    this.#probabilities = made.probabilities;
    this.#variables = made.variables;
  }

  /** Opens a session on a backend, with what another has learnt. Rejects where there is none. */
  async use(backend: string): Promise<void> {
    const next = new tl.Session({ graph: this.#graph, backend });
    try {
      await next.ready;
      const old = this.#session;
      await next.run(this.#model.init);
      if (old) {
        const values = await old.run([...this.#variables]);
        this.#variables.forEach((v, i) => {
          next.setVariable(v, values[i]);
        });
        await old.close();
      }
      this.#session = next;
    } catch (error) {
      await next.close();
      throw error;
    }
  }

  /** Forgets what was learnt. */
  async reset(): Promise<void> {
    this.steps = 0;
    await this.#open().run(this.#model.init);
  }

  /** One step on the next digits; its loss. */
  async step(batch: number): Promise<number> {
    if (this.#at + batch > this.#order.length) {
      this.#order = shuffled(this.#train.count, 1000 + this.steps);
      this.#at = 0;
    }
    const part = batchOf(this.#train, this.#order.slice(this.#at, this.#at + batch));
    this.#at += batch;
    const { images, labels, rate, loss, train } = this.#model;
    const result = await this.#open().run({ loss, train }, [
      [images, new tl.NDArray('float32', [part.count, PIXELS], part.images)],
      [labels, part.labels],
      [rate, RATE],
    ]);
    this.steps++;
    return result.loss.item();
  }

  /** The share of held-out digits that it gets right. */
  async evaluate(): Promise<number> {
    const { images, labels, accuracy } = this.#model;
    const { count } = this.#heldOut;
    const value = await this.#open().run(accuracy, [
      [images, new tl.NDArray('float32', [count, PIXELS], this.#heldOut.images)],
      [labels, this.#heldOut.labels],
    ]);
    return value.item();
  }

  /** The probability of each digit. */
  async answer(pixels: Float32Array): Promise<number[]> {
    const value = await this.#open().run(this.#probabilities, [
      [this.#model.images, new tl.NDArray('float32', [1, PIXELS], pixels)],
    ]);
    return Array.from(value.data as Float32Array);
  }

  /** Plans compiled so far in this session. */
  get plans(): number {
    return this.#session?.stats.plans ?? 0;
  }

  #open(): tl.Session {
    if (!this.#session) throw new Error('no session is open');
    return this.#session;
  }
}
