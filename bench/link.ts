// A peer's process as the harness holds it: requests with a time limit, and an error that says how the
// process ended where it did. A process that fails a limit is killed and answers nothing more.

import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface LinkOptions {
  /** The package from `dist/` instead of the sources. */
  readonly dist: boolean;
  /** Further flags of Node. */
  readonly flags?: readonly string[];
}

const STDERR_TAIL = 400;

export class Link {
  private readonly child: ChildProcess;
  private readonly socket: Socket;
  private waiting: { resolve(line: string): void; reject(error: Error): void } | undefined;
  private stderr = '';
  private ended: Error | undefined;

  private constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
    this.socket = this.child.stdio[3] as Socket;
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr = (this.stderr + chunk.toString()).slice(-STDERR_TAIL);
    });
    createInterface({ input: this.socket }).on('line', (line) => {
      this.waiting?.resolve(line);
      this.waiting = undefined;
    });
    this.socket.on('error', () => undefined);
    this.child.on('error', (error) => this.end(error));
    this.child.on('close', (code, signal) => {
      const detail = this.stderr.trim();
      const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
      this.end(new Error(`the process ${how}${detail && `: ${detail}`}`));
    });
  }

  /** Runs a TypeScript file under this Node. */
  static node(file: string, args: readonly string[], { dist, flags = [] }: LinkOptions): Link {
    const path = fileURLToPath(new URL(file, import.meta.url));
    const env = { ...process.env, ...(dist ? { TENSORLOOM_BENCH_DIST: '1' } : {}) };
    const loader = ['--import', import.meta.resolve('tsx')];
    return new Link(process.execPath, [...flags, ...loader, path, ...args], env);
  }

  static python(file: string, args: readonly string[]): Link {
    const path = fileURLToPath(new URL(file, import.meta.url));
    return new Link('python3', [path, ...args], process.env);
  }

  /** Rejects where the process ends, or takes longer than the limit, which ends it. */
  async request<R>(message: object, limitMs: number): Promise<R> {
    if (this.ended) throw this.ended;
    let timer: NodeJS.Timeout | undefined;
    try {
      const line = await new Promise<string>((resolve, reject) => {
        this.waiting = { resolve, reject };
        timer = setTimeout(() => {
          reject(new Error(`no answer within ${limitMs} ms`));
          this.kill();
        }, limitMs);
        this.socket.write(`${JSON.stringify(message)}\n`);
      });
      return JSON.parse(line) as R;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the process at once; it holds nothing that would be lost. */
  kill(): void {
    this.child.kill('SIGKILL');
    this.socket.destroy();
  }

  private end(error: Error): void {
    this.ended ??= error;
    this.waiting?.reject(this.ended);
    this.waiting = undefined;
  }
}
