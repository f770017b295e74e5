// What every backend says of a variable without a value.

import { StateError } from '../core/error.ts';

/** The error of a run that needs a variable which holds no value. */
export function uninitialized(name: string): StateError {
  return new StateError(
    'variable/uninitialized',
    `variable "${name}" holds no value. Run its initializer, or load a checkpoint, first.`,
    { node: name },
  );
}
