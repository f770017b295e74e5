// The process of one further measurement. Started by the harness as `extra-process.ts <name> <threads>`.

import { extras } from './extras/all.ts';
import { serve, textOf } from './wire.ts';

export interface ExtraRequest {
  readonly variant: string;
}

export type ExtraReply =
  | { readonly state: 'done'; readonly values: Readonly<Record<string, number>> }
  | { readonly state: 'failed'; readonly error: string };

const measurement = await extras[process.argv[2]].load();

await serve<ExtraRequest, ExtraReply>(
  async ({ variant }) => ({
    state: 'done',
    values: await measurement.run(Number(process.argv[3]), variant),
  }),
  (error) => ({ state: 'failed', error: textOf(error) }),
);
process.exit(0);
