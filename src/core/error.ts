// The typed errors of the project. Every error a user can cause has a class (what to catch), a
// code (what to test for) and a message of the form
//   <op> "<scope/name>": <what is wrong>, got <types>. <how to fix it>.
// Layers below `graph` throw with the facts they know; the builder adds the op and node name.

/** Where in the user's program something was made: `file:line:column`, innermost call first. */
export interface Site {
  readonly frames: readonly string[];
}

/** Where a node was created and which op it is; attached to errors that concern a node. */
export interface ErrorContext {
  readonly op?: string;
  readonly node?: string;
  /** The creation site of the node. */
  readonly site?: Site;
  readonly cause?: unknown;
}

/** Base class of all errors thrown by the project on purpose. */
export class TensorloomError extends Error {
  /** A stable machine-readable code such as `shape/broadcast` or `feed/dtype`. */
  readonly code: string;
  readonly op: string | undefined;
  readonly node: string | undefined;
  /** The creation site of the node: one `file:line:column` per entry, innermost first. */
  readonly site: readonly string[] | undefined;

  constructor(code: string, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.name = new.target.name;
    this.code = code;
    this.op = context.op;
    this.node = context.node;
    this.site = context.site?.frames;
  }
}

/** The graph is misused: wrong graph, finalized graph, unknown name, leaked loop tensor. */
export class GraphError extends TensorloomError {}
/** Shapes do not fit together. */
export class ShapeError extends TensorloomError {}
/** Dtypes do not fit together, or an op has no such dtype. */
export class DTypeError extends TensorloomError {}
/** An argument or attribute has a wrong value. */
export class ValueError extends TensorloomError {}
/** A feed is wrong or missing. */
export class FeedError extends TensorloomError {}
/** A fetch is wrong. */
export class FetchError extends TensorloomError {}
/** The session or a variable is in the wrong state: closed, busy, uninitialized. */
export class StateError extends TensorloomError {}
/** A check in the graph failed while it ran: an index out of range, sizes that disagree. */
export class ExecutionError extends TensorloomError {}
/** A run took longer than its `timeoutMs`. */
export class TimeoutError extends TensorloomError {}
/** A run was ended by its `AbortSignal`. */
export class AbortedError extends TensorloomError {}
/** A plan or tensor needs more memory than there may be. */
export class OutOfMemoryError extends TensorloomError {}
/** A backend or environment lacks what was asked for. */
export class UnsupportedError extends TensorloomError {}
/** A broken invariant: a bug of the project, never of the program. */
export class InternalError extends TensorloomError {
  constructor(message: string, context: ErrorContext = {}) {
    super('internal', `${message} (this is a bug in tensorloom)`, context);
  }
}

/** Throws an {@link InternalError} unless `condition` holds. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InternalError(message);
}
