// What every backend says of a variable without a value.

import { StateError } from '../core/error.ts';

/** The error of a run that needs a variable which holds no value. */
export function uninitialized(name: string): StateError {
  return new StateError(
    'variable/uninitialized',
    `Variable "${name}" holds no value yet. ` +
      'Run globalVariablesInitializer() (or its initializer) first.',
    { op: 'Variable', node: name },
  );
}
