// Trains for a long time and watches memory: the host's, and what the device counts. Batch sizes change
// with every step, and a second session comes and goes. Exit code 1 if memory grows.
//   npm run soak -- [--minutes 30] [--backend webgpu|cpu]

import '../support/webgpu-driver.ts';
import { parseArgs } from 'node:util';
import { drawValue, generator } from '../../src/conformance/draw.ts';
import * as tl from '../../src/index.ts';
import { buildMlp, type Mlp } from '../support/mlp.ts';

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    backend: { type: 'string', default: 'webgpu' },
  },
});
const minutes = Number(flags.minutes);
if (!(minutes > 0)) throw new RangeError(`--minutes takes a number above 0, got ${flags.minutes}`);

interface Sample {
  readonly seconds: number;
  readonly steps: number;
  readonly rss: number;
  readonly device: number;
  readonly made: string;
}

const LAYERS = [64, 48, 32, 10];
const LARGEST = 64;
const next = generator(1);

async function step({ train, loss }: Mlp, session: tl.Session, batch: number): Promise<number> {
  const [value] = await session.run([loss, train], {
    x: drawValue([batch, LAYERS[0]], 'float32', { low: -1, high: 1 }, next),
    labels: drawValue([batch], 'int32', { low: 0, high: 9 }, next),
  });
  return value.item();
}

const mlp = buildMlp(LAYERS, 1);
const session = new tl.Session({ graph: mlp.graph, backend: flags.backend });
await session.ready;
await session.run(mlp.init);
await step(mlp, session, LARGEST);

const began = performance.now();
const samples: Sample[] = [];
let steps = 0;
let due = 0;
for (;;) {
  const seconds = (performance.now() - began) / 1000;
  if (seconds >= due) {
    (globalThis as { gc?: () => void }).gc?.();
    const device = session.stats.device;
    const sample = {
      seconds,
      steps,
      rss: process.memoryUsage().rss,
      device: device?.usedBytes ?? 0,
      made: JSON.stringify(device?.gpu ?? {}),
    };
    samples.push(sample);
    const [rss, used] = [sample.rss, sample.device].map((n) => (n / 2 ** 20).toFixed(1));
    console.log(
      `${seconds.toFixed(0).padStart(5)} s  ${steps} steps  host ${rss} MB  device ${used} MB  ${sample.made}`,
    );
    due += Math.min(30, minutes * 3);
    // Another session on the same device comes and goes.
    const other = buildMlp(LAYERS, 1);
    const guest = new tl.Session({ graph: other.graph, backend: flags.backend });
    await guest.run(other.init);
    await step(other, guest, 8);
    await guest.close();
  }
  if (seconds >= minutes * 60) break;
  const loss = await step(mlp, session, 1 + Math.floor(next() * LARGEST));
  if (!Number.isFinite(loss)) throw new Error(`the loss is ${loss} after ${steps} steps`);
  steps++;
}
await session.close();

/** The median of a part of the samples. */
function median(of: keyof Pick<Sample, 'rss' | 'device'>, from: number, to: number): number {
  const part = samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to));
  return part.map((s) => s[of]).sort((a, b) => a - b)[part.length >> 1];
}

// The first quarter warms up.
const [early, late] = [median('rss', 0.25, 0.5), median('rss', 0.75, 1)];
const [before, after] = [median('device', 0.25, 0.5), median('device', 0.75, 1)];
const flat = late <= early * 1.05 + 8 * 2 ** 20 && after <= before;
console.log(
  `${flat ? 'flat' : 'GROWING'}: host ${(early / 2 ** 20).toFixed(1)} to ${(late / 2 ** 20).toFixed(1)} MB, ` +
    `device ${before} to ${after} bytes, ${steps} steps`,
);
process.exitCode = flat ? 0 : 1;
