// The page: controls, numbers, the curve, the drawing and its answer.

import * as tl from 'tensorloom';
import { PIXELS, splitDigits } from '../digits/data.ts';
import { Chart } from './chart.ts';
import { Pad } from './pad.ts';
import { Trainer } from './trainer.ts';

/** Steps from one evaluation to the next. */
const EVALUATE = 50;
/** The longest the page goes without a chance to draw, in ms. */
const BREATH = 30;

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

const start = element<HTMLButtonElement>('start');
const reset = element<HTMLButtonElement>('reset');
const batch = element<HTMLSelectElement>('batch');
const note = element('note');
const numbers = {
  step: element('step'),
  loss: element('loss'),
  accuracy: element('accuracy'),
  speed: element('speed'),
  plans: element('plans'),
};
const answer = element('answer');
const choices = [...document.querySelectorAll<HTMLInputElement>('input[name=backend]')];
const chart = new Chart(element('chart'));
const bars = Array.from({ length: 10 }, (_, digit) => {
  const row = document.createElement('li');
  row.innerHTML = `<span>${digit}</span><span class="bar"><span></span></span><span class="share">–</span>`;
  element('bars').append(row);
  return row;
});

let trainer: Trainer | undefined;
let running = false;
/** What is being done, one thing after another. */
let work: Promise<void> = Promise.resolve();
let asked = false;
const pad = new Pad(element('pad'), recognise);

/** Does something after what is under way; an error is shown. */
function then(job: () => Promise<void>): Promise<void> {
  work = work.then(job).catch((error: unknown) => {
    running = false;
    show(error instanceof Error ? error.message : String(error));
    refresh();
  });
  return work;
}

function show(text: string): void {
  note.textContent = text;
}

function refresh(): void {
  start.textContent = running ? 'Pause' : 'Start';
  start.disabled = !trainer;
  reset.disabled = !trainer;
}

/** Asks for the answer to the drawing, once however often it changes. */
function recognise(): void {
  if (asked || !trainer) return;
  asked = true;
  void then(async () => {
    asked = false;
    if (!trainer || pad.empty) {
      answer.textContent = '–';
      for (const row of bars) setBar(row, undefined);
      return;
    }
    const shares = await trainer.answer(pad.pixels());
    answer.textContent = String(shares.indexOf(Math.max(...shares)));
    bars.forEach((row, i) => {
      setBar(row, shares[i]);
    });
  });
}

function setBar(row: HTMLElement, share: number | undefined): void {
  const fill = row.querySelector<HTMLElement>('.bar span');
  const text = row.querySelector<HTMLElement>('.share');
  if (fill) fill.style.width = `${100 * (share ?? 0)}%`;
  if (text) text.textContent = share === undefined ? '–' : `${(100 * share).toFixed(1)}%`;
}

async function evaluate(): Promise<void> {
  if (!trainer) return;
  numbers.accuracy.textContent = `${(100 * (await trainer.evaluate())).toFixed(1)}%`;
}

let counted = { steps: 0, since: 0 };

/** One step, then the next if nobody has said stop. */
async function step(): Promise<void> {
  if (!running || !trainer) return;
  const began = performance.now();
  do {
    const loss = await trainer.step(Number(batch.value));
    chart.add(loss);
    numbers.step.textContent = trainer.steps.toLocaleString('en');
    numbers.loss.textContent = loss.toFixed(4);
    if (trainer.steps % EVALUATE === 0) await evaluate();
    if (trainer.steps % EVALUATE === 0) recognise();
  } while (running && performance.now() - began < BREATH);
  numbers.plans.textContent = String(trainer.plans);
  const now = performance.now();
  if (now - counted.since > 1000) {
    const speed = ((trainer.steps - counted.steps) * 1000) / (now - counted.since);
    numbers.speed.textContent = speed < 10 ? speed.toFixed(1) : speed.toFixed(0);
    counted = { steps: trainer.steps, since: now };
  }
  await new Promise((resolve) => setTimeout(resolve));
  void then(step);
}

start.addEventListener('click', () => {
  running = !running;
  refresh();
  if (running && trainer) {
    counted = { steps: trainer.steps, since: performance.now() };
    show('Learning. Change the batch as you like: nothing is compiled anew.');
    void then(step);
  } else {
    show('Paused.');
    void then(evaluate);
    recognise();
  }
});

reset.addEventListener('click', () => {
  running = false;
  refresh();
  void then(async () => {
    await trainer?.reset();
    chart.clear();
    for (const e of Object.values(numbers)) e.textContent = '–';
    numbers.step.textContent = '0';
    show('All forgotten.');
  });
  recognise();
});

element('clear').addEventListener('click', () => pad.clear());

for (const choice of choices) {
  choice.addEventListener('change', () => {
    void then(async () => {
      await trainer?.use(choice.value);
      show(`Now on ${choice.value === 'cpu' ? 'the CPU' : 'WebGPU'}, with what was learnt so far.`);
    });
    recognise();
  });
}

async function load(): Promise<void> {
  const response = await fetch('digits.bin');
  if (!response.ok) throw new Error(`the digits did not load: ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const count = bytes.length / (PIXELS + 1);
  const at = (i: number): number => i * (PIXELS + 1);
  const images = Array.from({ length: count }, (_, i) =>
    Float32Array.from(bytes.subarray(at(i) + 1, at(i + 1)), (v) => v / 255),
  );
  const labels = Array.from({ length: count }, (_, i) => bytes[at(i)]);
  const { train, heldOut } = splitDigits({ images, labels });
  const made = new Trainer(train, heldOut);
  await made.use('cpu');
  trainer = made;
  const [, gpu] = choices;
  const has = await tl.webgpu.available();
  gpu.disabled = !has;
  show(has ? 'Ready.' : 'Ready. This browser has no WebGPU adapter, so training runs on the CPU.');
  refresh();
}

void then(load);
