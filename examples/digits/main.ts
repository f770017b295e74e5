// Trains a classifier of handwritten digits and shows what it learnt: loss and accuracy while it goes,
// a confusion matrix at the end, and its graph as DOT and Mermaid in `out/`.
//   npm start -- [--model dense|conv] [--backend cpu|webgpu|auto|reference] [--epochs n] [--batch n] [--threads n]
//                [--out dir]

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as tl from '../../src/index.ts';
import { batchOf, movedAround, shuffled } from './data.ts';
import { loadDigits } from './load.ts';
import { buildModel, MODELS, type ModelName } from './model.ts';
import { confusionText, makeProgress } from './progress.ts';

const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: 'dense' },
    backend: { type: 'string', default: 'cpu' },
    epochs: { type: 'string' },
    batch: { type: 'string' },
    threads: { type: 'string' },
    out: { type: 'string', default: 'out' },
  },
});

/** A whole number of at least 1 from a flag. */
function count(name: string, text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1)
    throw new RangeError(`--${name} takes a whole number, got ${text}`);
  return n;
}

if (!Object.hasOwn(MODELS, flags.model)) {
  throw new RangeError(`--model takes ${Object.keys(MODELS).join(' or ')}, got ${flags.model}`);
}
const name = flags.model as ModelName;
const { rate, augment } = MODELS[name];
const epochs = flags.epochs === undefined ? MODELS[name].epochs : count('epochs', flags.epochs);
const batch = flags.batch === undefined ? MODELS[name].batch : count('batch', flags.batch);
const { train, heldOut } = loadDigits();
const graph = new tl.Graph();
const model = graph.asDefault(() => buildModel(7, name));
const session = new tl.Session({
  graph,
  backend: flags.backend,
  ...(flags.threads === undefined ? {} : { threads: count('threads', flags.threads) }),
});
await session.ready;
const progress = makeProgress(process.stdout);
console.log(
  `${train.count} digits to train on, ${heldOut.count} held out; batches of ${batch}, ` +
    `the last of each epoch ${train.count % batch || batch}; backend ${session.backend}`,
);

await session.run(model.init);
const step = session.makeCallable({
  feeds: { images: model.images, labels: model.labels, rate: model.rate },
  fetches: { loss: model.loss, accuracy: model.accuracy, train: model.train },
});
const began = performance.now();
const perEpoch = Math.ceil(train.count / batch);
let seen = 0;
for (let epoch = 0; epoch < epochs; epoch++) {
  const order = shuffled(train.count, 1000 + epoch);
  for (let i = 0; i < perEpoch; i++) {
    const drawn = batchOf(train, order.slice(i * batch, (i + 1) * batch));
    const part = augment ? movedAround(drawn, epoch * perEpoch + i) : drawn;
    const result = await step({
      images: new tl.NDArray('float32', [part.count, 784], part.images),
      labels: part.labels,
      rate: augment ? rate * (1 - (epoch * perEpoch + i) / (epochs * perEpoch)) : rate,
    });
    seen += part.count;
    const speed = Math.round(seen / ((performance.now() - began) / 1000));
    progress.step(
      epoch * perEpoch + i + 1,
      epochs * perEpoch,
      `epoch ${epoch + 1}/${epochs}  loss ${result.loss.item().toFixed(4)}  ` +
        `accuracy ${(100 * result.accuracy.item()).toFixed(1)}%  ${speed} samples/s`,
    );
  }
}
const seconds = (performance.now() - began) / 1000;

const answers = await session.run(model.answer, {
  images: new tl.NDArray('float32', [heldOut.count, 784], heldOut.images),
});
const confusion = Array.from({ length: 10 }, () => new Array<number>(10).fill(0));
let right = 0;
answers.data.forEach((answer, i) => {
  confusion[heldOut.labels[i]][answer]++;
  if (answer === heldOut.labels[i]) right++;
});
const accuracy = right / heldOut.count;
progress.line(`trained in ${seconds.toFixed(1)} s`);
console.log(`held-out accuracy ${(100 * accuracy).toFixed(2)}% of ${heldOut.count} digits\n`);
console.log(confusionText(confusion));

mkdirSync(flags.out, { recursive: true });
writeFileSync(join(flags.out, 'digits.dot'), tl.toDot(graph));
writeFileSync(join(flags.out, 'digits.mmd'), tl.toMermaid(graph));
const { plans, hits } = session.stats;
console.log(`\n${plans} plans, ${hits} runs from the plan cache`);
console.log(
  `graph written to ${join(flags.out, 'digits.dot')} and ${join(flags.out, 'digits.mmd')}`,
);
await session.close();
