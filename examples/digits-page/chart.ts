// The curve of the loss: each step faint, the running mean strong, on a logarithmic axis.

const MEAN = 0.05;
/** The axis, in losses. */
const HIGH = 4;
const LOW = 0.01;

/** Draws what it is told. */
export class Chart {
  readonly #canvas: HTMLCanvasElement;
  #losses: number[] = [];
  #due = false;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#ask()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#ask());
  }

  add(loss: number): void {
    this.#losses.push(loss);
    this.#ask();
  }

  clear(): void {
    this.#losses = [];
    this.#ask();
  }

  #ask(): void {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#draw();
    });
  }

  #draw(): void {
    const canvas = this.#canvas;
    const context = canvas.getContext('2d');
    if (!context) return;
    const { clientWidth: w, clientHeight: h } = canvas;
    const ratio = devicePixelRatio;
    canvas.width = Math.round(w * ratio);
    canvas.height = Math.round(h * ratio);
    context.scale(ratio, ratio);
    const color = (name: string): string => getComputedStyle(canvas).getPropertyValue(name);
    const [left, bottom] = [34, h - 20];
    const y = (loss: number): number => {
      const at = Math.log(Math.max(LOW, Math.min(HIGH, loss)) / LOW) / Math.log(HIGH / LOW);
      return bottom - at * (bottom - 8);
    };
    context.font = '11px system-ui, sans-serif';
    context.lineWidth = 1;
    for (const tick of [2, 1, 0.5, 0.2, 0.1, 0.05, 0.02]) {
      context.strokeStyle = color('--line');
      context.beginPath();
      context.moveTo(left, y(tick) + 0.5);
      context.lineTo(w, y(tick) + 0.5);
      context.stroke();
      context.fillStyle = color('--soft');
      context.textAlign = 'right';
      context.fillText(String(tick), left - 6, y(tick) + 4);
    }
    const n = this.#losses.length;
    const span = Math.max(100, n);
    context.textAlign = 'left';
    context.fillText('0', left, h - 4);
    context.textAlign = 'right';
    context.fillText(`${span} steps`, w, h - 4);
    const line = (values: readonly number[], style: string, width: number): void => {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.beginPath();
      // No more points than can be seen.
      const stride = Math.max(1, Math.floor(n / (2 * w)));
      for (let i = 0; i < n; i += stride) {
        context.lineTo(left + ((w - left) * i) / span, y(values[i]));
      }
      context.stroke();
    };
    let mean = this.#losses[0] ?? 0;
    const means = this.#losses.map((loss) => {
      mean += (loss - mean) * MEAN;
      return mean;
    });
    line(this.#losses, color('--faint'), 1);
    line(means, color('--accent'), 2.5);
  }
}
