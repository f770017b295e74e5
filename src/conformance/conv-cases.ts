// Conformance cases of convolutions and of the windows they are made of: every stride, dilation,
// padding, grouping and layout, with sizes known, open, zero and one.

import type { DType } from '../core/dtype.ts';
import type { Tensor } from '../graph/tensor.ts';
import * as tl from '../index.ts';
import { windowPick, windowPut, windowSum, windows } from '../ops/windows.ts';
import { type OpCase, type Shapes, shapesOf } from './case.ts';

const { sets, open } = shapesOf;
const NUMBER: readonly DType[] = ['float32', 'int32'];
const FLOAT: readonly DType[] = ['float32'];

const vector = (...sizes: number[]): Tensor => tl.constant(sizes, { dtype: 'int32' });

const WINDOWS: readonly OpCase[] = [
  {
    name: 'windows',
    dtypes: ['float32', 'int32', 'bool'],
    shapes: [
      sets('static', [2, 9, 8, 3]),
      open('dynamic', [1, 9, 7, 2]),
      sets('zero', [0, 9, 7, 2]),
    ],
    build: ([x]) => [
      windows(x, vector(3, 2), vector(3, 6), {
        axes: [1, 2],
        strides: [2, 1],
        dilations: [2, 1],
        at: 3,
      }),
      windows(x, vector(4), vector(2), { axes: [1], strides: [3], dilations: [1], at: 0 }),
    ],
  },
  {
    name: 'windowSum',
    dtypes: NUMBER,
    shapes: [
      sets('static', [2, 3, 2, 3, 2, 2]),
      open('dynamic', [1, 4, 3, 2, 3, 3]),
      sets('zero', [0, 3, 2, 3, 2, 2]),
      sets('one', [1, 1, 1, 1, 1, 1]),
    ],
    build: ([x]) =>
      [
        [1, 1, 1, 1],
        [2, 3, 1, 1],
        [1, 1, 2, 3],
        [3, 2, 2, 3],
      ].map(([s, t, d, e]) =>
        windowSum(x, vector(13, 12), {
          axes: [1, 2],
          strides: [s, t],
          dilations: [d, e],
          at: 3,
        }),
      ),
  },
  {
    name: 'windowPick and windowPut',
    dtypes: NUMBER,
    draws: [{}, {}, { dtype: 'int32', low: 0, high: 5 }],
    shapes: [
      sets('static', [2, 8, 7, 3], [2, 3, 3, 3], [2, 3, 3, 3]),
      open('dynamic', [1, 8, 7, 2], [1, 3, 3, 2], [1, 3, 3, 2]),
      sets('zero', [0, 8, 7, 2], [0, 3, 3, 2], [0, 3, 3, 2]),
    ],
    build: ([x, y, at]) => {
      const attrs = { axes: [1, 2], strides: [2, 1], dilations: [1, 2], at: 3 };
      return [
        windowPick(x, at, vector(2, 3), attrs),
        windowPut(y, at, vector(2, 3), vector(8, 7), attrs),
      ];
    },
  },
];

interface Variant {
  readonly name: string;
  readonly options: tl.nn.ConvOptions;
  readonly filter?: readonly number[];
}

/** Shapes of an image and a filter, with the sizes that are easy to get wrong. */
function images(filter: readonly number[], channels: number, first: boolean): Shapes[] {
  const image = (n: number, h: number, w: number): number[] =>
    first ? [n, channels, h, w] : [n, h, w, channels];
  const f = [...filter];
  const open = first ? [0, 2, 3] : [0, 1, 2];
  return [
    sets('even', image(2, 6, 4), f),
    { name: 'odd dynamic', inputs: [image(1, 7, 5), f], openAxes: [open, []] },
    sets('zero', image(0, 7, 5), f),
    sets('least', image(1, 5, 5), f),
  ];
}

const VARIANTS: readonly Variant[] = [
  { name: 'VALID', options: {} },
  { name: 'SAME', options: { padding: 'SAME' } },
  { name: 'strided VALID', options: { strides: [2, 3] } },
  { name: 'strided SAME', options: { strides: 2, padding: 'SAME' } },
  { name: 'stride above the filter', options: { strides: 4, padding: 'SAME' } },
  { name: 'dilated', options: { dilations: 2, padding: 'SAME' } },
  { name: 'strided and dilated', options: { strides: [2, 3], dilations: [1, 2] } },
  {
    name: 'explicit padding',
    options: {
      padding: [
        [3, 1],
        [0, 4],
      ],
    },
  },
  {
    name: 'strided with explicit padding',
    options: {
      strides: 2,
      padding: [
        [1, 0],
        [2, 1],
      ],
    },
  },
  { name: 'two groups', options: { groups: 2, padding: 'SAME' }, filter: [3, 2, 2, 6] },
  { name: 'two groups strided', options: { groups: 2, strides: 2 }, filter: [3, 2, 2, 4] },
  {
    name: 'lone channels',
    options: { groups: 4, padding: 'SAME', dilations: 2 },
    filter: [2, 3, 1, 8],
  },
  { name: 'lone channels strided', options: { groups: 4, strides: 3 }, filter: [3, 2, 1, 4] },
  { name: 'a filter of one', options: {}, filter: [1, 1, 4, 3] },
];

const FORMATS = ['NHWC', 'NCHW'] as const;

const CONV2D: readonly OpCase[] = FORMATS.flatMap((dataFormat) =>
  VARIANTS.map(
    (v): OpCase => ({
      name: `conv2d ${dataFormat} ${v.name}`,
      dtypes: NUMBER,
      tolerance: 1e-5,
      shapes: images(v.filter ?? [3, 2, 4, 5], 4, dataFormat === 'NCHW'),
      build: ([x, f]) => tl.nn.conv2d(x, f, { ...v.options, dataFormat }),
    }),
  ),
);

const DEPTHWISE: readonly OpCase[] = FORMATS.flatMap((dataFormat) =>
  [
    { name: 'VALID', options: {}, filter: [3, 2, 4, 1] },
    { name: 'SAME', options: { padding: 'SAME' as const }, filter: [3, 3, 4, 2] },
    { name: 'strided', options: { strides: 2, padding: 'SAME' as const }, filter: [3, 2, 4, 3] },
    { name: 'dilated', options: { dilations: 2 }, filter: [2, 3, 4, 1] },
  ].map(
    (v): OpCase => ({
      name: `depthwiseConv2d ${dataFormat} ${v.name}`,
      dtypes: NUMBER,
      tolerance: 1e-5,
      shapes: images(v.filter, 4, dataFormat === 'NCHW'),
      build: ([x, f]) => tl.nn.depthwiseConv2d(x, f, { ...v.options, dataFormat }),
    }),
  ),
);

const OTHERS: readonly OpCase[] = [
  {
    name: 'conv2d of open sizes everywhere',
    dtypes: NUMBER,
    tolerance: 1e-5,
    shapes: [open('dynamic', [2, 4, 5, 2], [3, 2, 2, 3])],
    build: ([x, f]) => [
      tl.nn.conv2d(x, f, { padding: 'SAME' }),
      tl.nn.conv2d(x, f, { padding: 'SAME', strides: [2, 1] }),
    ],
  },
  {
    name: 'conv1d',
    dtypes: NUMBER,
    tolerance: 1e-5,
    shapes: [
      sets('static', [2, 9, 3], [4, 3, 5]),
      open('dynamic', [3, 8, 2], [3, 2, 4]),
      sets('one', [1, 1, 1], [1, 1, 1]),
      sets('no positions', [2, 0, 3], [1, 3, 2]),
    ],
    build: ([x, f]) => [
      tl.nn.conv1d(x, f, { padding: 'SAME' }),
      tl.nn.conv1d(x, f, { strides: 2, padding: 'SAME' }),
    ],
  },
  {
    name: 'conv3d',
    dtypes: FLOAT,
    tolerance: 1e-5,
    shapes: [
      sets('static', [1, 4, 5, 3, 2], [2, 3, 2, 2, 3]),
      open('dynamic', [2, 3, 4, 5, 1], [3, 2, 2, 1, 2]),
    ],
    build: ([x, f]) => [
      tl.nn.conv3d(x, f, { padding: 'SAME' }),
      tl.nn.conv3d(x, f, { strides: [1, 2, 2, 1, 1] }),
    ],
  },
  {
    name: 'conv3d NCDHW',
    dtypes: FLOAT,
    tolerance: 1e-5,
    shapes: [sets('static', [1, 2, 4, 5, 3], [2, 3, 2, 2, 3])],
    build: ([x, f]) => tl.nn.conv3d(x, f, { padding: 'SAME', dataFormat: 'NCDHW' }),
  },
  ...FORMATS.flatMap((dataFormat): OpCase[] => {
    const image = (n: number, h: number, w: number, c: number): number[] =>
      dataFormat === 'NHWC' ? [n, h, w, c] : [n, c, h, w];
    return [
      {
        name: `conv2dTranspose ${dataFormat}`,
        dtypes: NUMBER,
        tolerance: 1e-5,
        shapes: [sets('static', image(2, 4, 3, 4), [3, 2, 5, 4])],
        build: ([y, f]) => [
          tl.nn.conv2dTranspose(y, f, image(2, 6, 4, 5), { dataFormat }),
          tl.nn.conv2dTranspose(y, f, image(2, 8, 5, 5), {
            dataFormat,
            padding: 'SAME',
            strides: 2,
          }),
          tl.nn.conv2dTranspose(y, f, image(2, 7, 6, 5), {
            dataFormat,
            padding: 'SAME',
            strides: 2,
          }),
        ],
      },
      {
        name: `conv2dTranspose ${dataFormat} to the shape of another`,
        dtypes: FLOAT,
        tolerance: 1e-5,
        shapes: [open('dynamic', image(2, 4, 3, 4), [3, 2, 5, 4], image(2, 7, 6, 5))],
        build: ([y, f, like]) =>
          tl.nn.conv2dTranspose(y, f, tl.shape(like), { dataFormat, padding: 'SAME', strides: 2 }),
      },
    ];
  }),
  {
    name: 'separableConv2d',
    dtypes: FLOAT,
    tolerance: 1e-5,
    shapes: [
      sets('static', [1, 6, 5, 3], [3, 3, 3, 2], [1, 1, 6, 4]),
      open('dynamic', [2, 4, 4, 2], [2, 2, 2, 1], [1, 1, 2, 3]),
    ],
    build: ([x, d, p]) => tl.nn.separableConv2d(x, d, p, { padding: 'SAME', strides: 2 }),
  },
];

function pools(
  name: string,
  of: (x: Tensor, ksize: readonly number[], options: tl.nn.PoolOptions) => Tensor,
  dtypes: readonly DType[],
  extra: Partial<OpCase>,
): OpCase[] {
  return FORMATS.flatMap((dataFormat) => {
    const image = (n: number, h: number, w: number): number[] =>
      dataFormat === 'NHWC' ? [n, h, w, 2] : [n, 2, h, w];
    return (
      [
        ['VALID', [2, 2], {}],
        ['SAME', [3, 2], { padding: 'SAME', strides: 2 }],
        ['overlapping', [3, 3], { padding: 'SAME', strides: 1 }],
        ['with gaps', [1, 2], { strides: 3 }],
        [
          'explicit',
          [2, 3],
          {
            padding: [
              [1, 0],
              [1, 2],
            ],
            strides: [1, 2],
          },
        ],
      ] as const
    ).map(
      ([what, ksize, options]): OpCase => ({
        name: `${name} ${dataFormat} ${what}`,
        dtypes,
        tolerance: 1e-5,
        shapes: [
          sets('even', image(2, 6, 4)),
          {
            name: 'odd dynamic',
            inputs: [image(1, 5, 7)],
            openAxes: [dataFormat === 'NHWC' ? [0, 1, 2] : [0, 2, 3]],
          },
          sets('zero', image(0, 5, 4)),
          sets('least', image(1, 2, 3)),
        ],
        build: ([x]) => of(x, ksize, { ...options, dataFormat }),
        ...extra,
      }),
    );
  });
}

const POOLS: readonly OpCase[] = [
  ...pools('maxPool', tl.nn.maxPool2d, NUMBER, { draws: [{ distinct: true }] }),
  ...pools('avgPool', tl.nn.avgPool2d, FLOAT, {}),
  {
    name: 'pools of one and three axes',
    op: 'maxPool',
    dtypes: FLOAT,
    draws: [{ distinct: true }, { distinct: true }],
    tolerance: 1e-5,
    shapes: [
      sets('static', [2, 7, 3], [1, 3, 4, 5, 2]),
      open('dynamic', [1, 8, 2], [2, 4, 3, 2, 1]),
    ],
    build: ([x, y]) => [
      tl.nn.maxPool(x, 3, { strides: 2, padding: 'SAME' }),
      tl.nn.avgPool1d(x, 3, { strides: 2, padding: 'SAME' }),
      tl.nn.maxPool3d(y, 2),
      tl.nn.avgPool(y, [2, 3, 2], { strides: 1, padding: 'SAME' }),
    ],
  },
];

export const CONV_CASES: readonly OpCase[] = [
  ...WINDOWS,
  ...CONV2D,
  ...DEPTHWISE,
  ...OTHERS,
  ...POOLS,
];
