#!/usr/bin/env node
// The command `tensorloom`. Its exit code is 0 if all is well, 1 if a test failed, 2 for wrong usage.

import { conformanceCommand, USAGE } from './conformance.ts';
import { UsageError } from './usage.ts';

const [command, ...rest] = process.argv.slice(2);
try {
  if (command === 'conformance') process.exitCode = await conformanceCommand(rest);
  else if (command === undefined || command === '--help' || command === '-h') console.log(USAGE);
  else throw new UsageError(`there is no command "${command}".\n\n${USAGE}`);
} catch (e) {
  if (!(e instanceof UsageError)) throw e;
  console.error(`tensorloom: ${e.message}`);
  process.exitCode = 2;
}
