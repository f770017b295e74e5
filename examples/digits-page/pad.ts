// The drawing area: strokes by pointer or keyboard, and the drawing as the 28 by 28 pixels that the
// training digits are: fitted into 20 by 20 and centred by its mass.

const SIDE = 28;
const FIT = 20;
/** Cells of the grid that strokes are kept in, each way. */
const GRID = 112;
const RADIUS = 5.5;
/** How far a key moves the pen, in cells. */
const STRIDE = 4;

/** What is drawn. */
export class Pad {
  readonly #canvas: HTMLCanvasElement;
  readonly #changed: () => void;
  readonly #grid = new Float32Array(GRID * GRID);
  #last: readonly [number, number] | undefined;
  /** Where the keyboard's pen is, and whether it draws; unset until a key is pressed. */
  #pen: { x: number; y: number; down: boolean } | undefined;
  empty = true;

  constructor(canvas: HTMLCanvasElement, changed: () => void) {
    this.#canvas = canvas;
    this.#changed = changed;
    canvas.addEventListener('pointerdown', (e) => {
      canvas.setPointerCapture(e.pointerId);
      this.#last = undefined;
      this.#pen = undefined;
      this.#stroke(this.#place(e));
    });
    canvas.addEventListener('pointermove', (e) => {
      if (!canvas.hasPointerCapture(e.pointerId)) return;
      for (const part of e.getCoalescedEvents?.() ?? []) this.#stroke(this.#place(part));
      this.#stroke(this.#place(e));
    });
    canvas.addEventListener('keydown', (e) => this.#key(e));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#paint());
    this.#paint();
  }

  clear(): void {
    this.#grid.fill(0);
    this.empty = true;
    this.#last = undefined;
    this.#paint();
    this.#changed();
  }

  /** The drawing as one digit's pixels, 0 (paper) to 1 (ink). */
  pixels(): Float32Array {
    const out = new Float32Array(SIDE * SIDE);
    let [mass, cx, cy] = [0, 0, 0];
    let [left, top, right, bottom] = [GRID, GRID, 0, 0];
    this.#grid.forEach((v, i) => {
      if (v === 0) return;
      const [x, y] = [i % GRID, Math.floor(i / GRID)];
      [mass, cx, cy] = [mass + v, cx + v * x, cy + v * y];
      [left, top] = [Math.min(left, x), Math.min(top, y)];
      [right, bottom] = [Math.max(right, x), Math.max(bottom, y)];
    });
    if (mass === 0) return out;
    const scale = Math.max(right - left + 1, bottom - top + 1) / FIT;
    // Each pixel is the mean of some points of the grid within it.
    const points = 4;
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        let sum = 0;
        for (let k = 0; k < points * points; k++) {
          const gx = cx / mass + (x - SIDE / 2 + ((k % points) + 0.5) / points) * scale;
          const gy = cy / mass + (y - SIDE / 2 + (Math.floor(k / points) + 0.5) / points) * scale;
          const [i, j] = [Math.round(gx), Math.round(gy)];
          if (i >= 0 && i < GRID && j >= 0 && j < GRID) sum += this.#grid[j * GRID + i];
        }
        out[y * SIDE + x] = sum / (points * points);
      }
    }
    return out;
  }

  #place(e: PointerEvent): readonly [number, number] {
    const box = this.#canvas.getBoundingClientRect();
    return [
      ((e.clientX - box.left) / box.width) * GRID,
      ((e.clientY - box.top) / box.height) * GRID,
    ];
  }

  #key(e: KeyboardEvent): void {
    const moves: Record<string, readonly [number, number]> = {
      ArrowLeft: [-STRIDE, 0],
      ArrowRight: [STRIDE, 0],
      ArrowUp: [0, -STRIDE],
      ArrowDown: [0, STRIDE],
    };
    const move = moves[e.key];
    if (!move && e.key !== ' ' && e.key !== 'Delete') return;
    e.preventDefault();
    if (e.key === 'Delete') {
      this.clear();
      return;
    }
    this.#pen ??= { x: GRID / 2, y: GRID / 4, down: false };
    const pen = this.#pen;
    if (move) {
      pen.x = Math.max(0, Math.min(GRID, pen.x + move[0]));
      pen.y = Math.max(0, Math.min(GRID, pen.y + move[1]));
    } else {
      pen.down = !pen.down;
      this.#last = undefined;
    }
    if (pen.down) this.#stroke([pen.x, pen.y]);
    else this.#paint();
  }

  #stroke(to: readonly [number, number]): void {
    const from = this.#last ?? to;
    const length = Math.hypot(to[0] - from[0], to[1] - from[1]);
    const dots = Math.max(1, Math.ceil(length));
    for (let i = 0; i <= dots; i++) {
      const t = i / dots;
      this.#dot(from[0] + (to[0] - from[0]) * t, from[1] + (to[1] - from[1]) * t);
    }
    this.#last = to;
    this.empty = false;
    this.#paint();
    this.#changed();
  }

  #dot(x: number, y: number): void {
    const [x0, x1] = [Math.max(0, Math.floor(x - RADIUS)), Math.min(GRID - 1, x + RADIUS)];
    const [y0, y1] = [Math.max(0, Math.floor(y - RADIUS)), Math.min(GRID - 1, y + RADIUS)];
    for (let j = y0; j <= y1; j++) {
      for (let i = x0; i <= x1; i++) {
        const ink = Math.min(1, RADIUS - Math.hypot(i - x, j - y));
        if (ink > this.#grid[j * GRID + i]) this.#grid[j * GRID + i] = ink;
      }
    }
  }

  #paint(): void {
    const context = this.#canvas.getContext('2d');
    if (!context) return;
    const { width, height } = this.#canvas;
    const image = new ImageData(GRID, GRID);
    const ink = matchMedia('(prefers-color-scheme: dark)').matches ? 236 : 29;
    this.#grid.forEach((v, i) => {
      image.data.set([ink, ink, ink + 4, 255 * v], 4 * i);
    });
    const small = new OffscreenCanvas(GRID, GRID);
    small.getContext('2d')?.putImageData(image, 0, 0);
    context.clearRect(0, 0, width, height);
    context.drawImage(small, 0, 0, width, height);
    const pen = this.#pen;
    if (!pen) return;
    context.strokeStyle = getComputedStyle(this.#canvas).getPropertyValue('--accent');
    context.lineWidth = 2;
    context.beginPath();
    context.arc((pen.x / GRID) * width, (pen.y / GRID) * height, pen.down ? 9 : 13, 0, 7);
    context.stroke();
  }
}
