// Times one training step of a small classifier in Tensorloom and in its peers, in one run, one thread
// each. Peers whose losses differ are not doing the same work, and fail the run.
//   npm run bench -- [--peers tensorloom,jax-js,tfjs-wasm]

import { parseArgs } from 'node:util';
import { median, type Timing, timePeers } from './clock.ts';
import { BATCH, type Data, makeData, type Peer, SIZES } from './data.ts';

/** Peers by name, each loaded only when asked for. */
const PEERS: Readonly<Record<string, (data: Data) => Promise<Peer>>> = {
  tensorloom: async (data) => (await import('./mlp/tensorloom.ts')).make(data),
  'jax-js': async (data) => (await import('./mlp/jax-js.ts')).make(data),
  'tfjs-wasm': async (data) => (await import('./mlp/tfjs-wasm.ts')).make(data),
};
const PLAN = { warmUp: 10, rounds: 5, perRound: 10 };
const CHECKED_STEPS = 3;
const TOLERANCE = 1e-3;

/** Throws unless all peers had the first one's losses, and these are numbers. */
function checkLosses(warm: readonly Timing[]): void {
  for (let step = 0; step < CHECKED_STEPS; step++) {
    const losses = warm.map((timing) => timing.losses[step]);
    if (losses.every((loss) => Math.abs(loss - losses[0]) <= TOLERANCE)) continue;
    const list = warm.map(({ name }, i) => `${name} ${losses[i]}`).join(', ');
    throw new Error(`losses differ at step ${step + 1} by more than ${TOLERANCE}: ${list}`);
  }
}

/** The timings as a table; ratios are to Tensorloom, above 1 where it is the faster. */
function tableOf(timings: readonly Timing[]): string {
  const own = timings.find(({ name }) => name === 'tensorloom');
  const rows = timings.map(({ name, losses, times }) => [
    name,
    median(times).toFixed(3),
    own === undefined ? '-' : (median(times) / median(own.times)).toFixed(2),
    losses[0].toFixed(5),
  ]);
  const all = [['peer', 'ms median', 'ratio to tensorloom', 'first loss'], ...rows];
  const widths = all[0].map((_, column) => Math.max(...all.map((row) => row[column].length)));
  return all
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join('  '),
    )
    .join('\n');
}

async function main(): Promise<void> {
  const { values: flags } = parseArgs({
    options: { peers: { type: 'string', default: Object.keys(PEERS).join(',') } },
  });
  const makers = flags.peers.split(',').map((name) => {
    if (!Object.hasOwn(PEERS, name)) {
      throw new RangeError(`no peer '${name}'; there are ${Object.keys(PEERS).join(', ')}`);
    }
    return PEERS[name];
  });
  const data = makeData();
  const peers: Peer[] = [];
  try {
    for (const make of makers) peers.push(await make(data));
    const timings = await timePeers(peers, PLAN, checkLosses);
    const steps = PLAN.rounds * PLAN.perRound;
    console.log(`mlp_train: ${SIZES.join('-')}, batch ${BATCH}, SGD; median of ${steps} steps`);
    console.log(tableOf(timings));
  } finally {
    for (const peer of peers) peer.close();
  }
}

// tfjs rethrows uncaught errors from a minified file of one line, which hides them: report them here.
main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
