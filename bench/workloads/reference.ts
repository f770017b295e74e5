// Float64 arithmetic in plain JavaScript that judges the peers' outputs. Slow and obvious.

/** Row-major matrices in any array: `rows` by `columns`. */
export interface Matrix {
  readonly data: ArrayLike<number>;
  readonly rows: number;
  readonly columns: number;
}

export function matrix(data: ArrayLike<number>, rows: number, columns: number): Matrix {
  return { data, rows, columns };
}

export function transposed({ data, rows, columns }: Matrix): Matrix {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j];
  }
  return { data: out, rows: columns, columns: rows };
}

/** The product, summed in float64. */
export function product(a: Matrix, b: Matrix): Matrix {
  const right = Float64Array.from(b.data);
  const out = new Float64Array(a.rows * b.columns);
  for (let i = 0; i < a.rows; i++) {
    const row = out.subarray(i * b.columns, (i + 1) * b.columns);
    for (let k = 0; k < a.columns; k++) {
      const x = a.data[i * a.columns + k];
      const at = k * b.columns;
      for (let j = 0; j < row.length; j++) row[j] += x * right[at + j];
    }
  }
  return { data: out, rows: a.rows, columns: b.columns };
}

/** Slice `index` of a stack of matrices. */
export function sliceOf(
  data: Float32Array | Int32Array,
  index: number,
  rows: number,
  columns: number,
): Matrix {
  const n = rows * columns;
  return matrix(data.subarray(index * n, (index + 1) * n), rows, columns);
}

/** Softmax of each row. */
export function softmaxRows({ data, rows, columns }: Matrix): Matrix {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const at = i * columns;
    let max = -Infinity;
    for (let j = 0; j < columns; j++) max = Math.max(max, data[at + j]);
    let sum = 0;
    for (let j = 0; j < columns; j++) {
      out[at + j] = Math.exp(data[at + j] - max);
      sum += out[at + j];
    }
    for (let j = 0; j < columns; j++) out[at + j] /= sum;
  }
  return { data: out, rows, columns };
}
