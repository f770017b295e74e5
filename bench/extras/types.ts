// Measurements of Tensorloom alone: what the table of workloads does not show. Each runs in fresh
// processes and gives some numbers by name.

export interface Limit {
  readonly most?: number;
  readonly least?: number;
}

export interface Extra {
  readonly about: string;
  readonly unit: string;
  /** Fresh processes; values are medians over them. */
  readonly repeats: number;
  /** A process for each of these, as the argument of `run`; one without an argument where absent. */
  readonly variants?: readonly string[];
  /** Further flags of Node. */
  readonly flags?: readonly string[];
  /** What the project aims at on one thread, by value. */
  readonly limits: Readonly<Record<string, Limit>>;
  load(): Promise<Measurement>;
}

export interface Measurement {
  /** The values by name. */
  run(threads: number, variant: string): Promise<Readonly<Record<string, number>>>;
}
