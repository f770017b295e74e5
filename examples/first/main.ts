// A line fitted to four points: placeholders of any length, two variables, gradient descent.

import * as tl from '../../src/index.ts';

const x = tl.placeholder('float32', [null], { name: 'x' });
const y = tl.placeholder('float32', [null], { name: 'y' });
const slope = tl.variable(0, { name: 'slope' });
const offset = tl.variable(0, { name: 'offset' });
const loss = tl.reduceMean(tl.square(tl.sub(tl.add(tl.mul(x, slope), offset), y)));
const train = new tl.GradientDescentOptimizer(0.05).minimize(loss);

const session = new tl.Session();
await session.run(tl.globalVariablesInitializer());
for (let i = 0; i < 500; i++) await session.run(train, { x: [0, 1, 2, 3], y: [1, 3, 5, 7] });
const [a, b] = await session.run([slope, offset]);
console.log(`y = ${a.item().toFixed(3)} x + ${b.item().toFixed(3)}`);
await session.close();
