"""NumPy with its BLAS, for scale: the harness's protocol (see wire.ts) over file descriptor 3."""

import json
import os
import sys
import time

THREADS = sys.argv[1]
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = THREADS

import numpy as np  # noqa: E402  (after the threads are set)

EPSILON = 1e-5
SIZES = [784, 256, 128, 10]
LEARNING_RATE = 0.1
FIRST_BATCH = 64


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def layernorm(x, scale, offset):
    d = x - x.mean(axis=-1, keepdims=True)
    v = np.mean(d * d, axis=-1, keepdims=True)
    return d / np.sqrt(v + np.float32(EPSILON)) * scale + offset


def padded(x):
    return np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


def conv2d(x, filter):
    n, h, w, c = x.shape
    p = padded(x)
    taps = [p[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    columns = np.concatenate(taps, axis=-1).reshape(n * h * w, 9 * c)
    return (columns @ filter.reshape(9 * c, -1)).reshape(n, h, w, -1)


def depthwise(x, filter):
    _, h, w, _ = x.shape
    p = padded(x)
    y = np.zeros_like(x)
    for i in range(3):
        for j in range(3):
            y += p[:, i : i + h, j : j + w] * filter[i, j, :, 0]
    return y


def layers(x, weights):
    values = [x]
    for i in range(3):
        y = values[-1] @ weights[f"w{i}"] + weights[f"b{i}"]
        values.append(np.maximum(y, 0) if i < 2 else y)
    return values


def small50(h, a, b, c):
    for _ in range(10):
        h = np.tanh(h * a + b)
        h = h - c * h
    return h


def linreg(x, t):
    d = t - t.mean()
    return ((x - x.mean(axis=1, keepdims=True)) * d).sum(axis=1) / (d * d).sum()


def train(inputs):
    x, labels = inputs.pop("x"), inputs.pop("labels")
    weights = inputs
    rows = np.arange(len(labels))

    def step(_):
        values = layers(x, weights)
        p = softmax(values[-1])
        loss = -np.log(p[rows, labels]).mean()
        g = p
        g[rows, labels] -= 1
        g /= len(labels)
        for i in (2, 1, 0):
            dw, db = values[i].T @ g, g.sum(axis=0)
            if i > 0:
                g = (g @ weights[f"w{i}"].T) * (values[i] > 0)
            weights[f"w{i}"] -= np.float32(LEARNING_RATE) * dw
            weights[f"b{i}"] -= np.float32(LEARNING_RATE) * db
        return {"loss": np.array([loss])}

    return step


def newbatch(inputs):
    x = inputs.pop("x")
    return lambda call: {"y": layers(x[: FIRST_BATCH + call], inputs)[-1]}


def one(compute):
    return lambda inputs: lambda _: {"y": compute(**inputs)}


def eltwise(x):
    return np.tanh(x * np.float32(1.5) + np.float32(0.25)) * np.float32(0.75) + np.exp(-x * x)


def attention(q, k, v):
    return softmax(q @ k.transpose(0, 2, 1) / np.float32(8)) @ v


MAKERS = {
    "mm256": one(lambda a, b: a @ b),
    "mm512": one(lambda a, b: a @ b),
    "mm1024": one(lambda a, b: a @ b),
    "mm512_at": one(lambda a, b: a.T @ b),
    "mm512_bt": one(lambda a, b: a @ b.T),
    "bmm": one(lambda a, b: a @ b),
    "einsum": one(lambda a, b: np.matmul(a, b)),
    "attention": one(attention),
    "linreg": one(linreg),
    "matvec": one(lambda a, x: a @ x),
    "eltwise4M": one(eltwise),
    "moments0": lambda inputs: lambda _: {
        "mean": inputs["x"].mean(axis=0),
        "variance": inputs["x"].var(axis=0),
    },
    "softmax": one(softmax),
    "layernorm": one(layernorm),
    "small50": one(small50),
    "transpose": one(lambda x: np.ascontiguousarray(x.T)),
    "gather": one(lambda x, indices: x[indices]),
    "conv2d": one(conv2d),
    "depthwise": one(depthwise),
    "mlp_fwd": lambda inputs: lambda _: {"y": layers(inputs["x"], inputs)[-1]},
    "mlp_newbatch": newbatch,
    "mlp_train": train,
}


class Process:
    def __init__(self):
        self.calls = 0
        self.folder = ""
        self.step = None

    def run(self, count):
        began = time.perf_counter()
        for _ in range(count):
            self.step(self.calls)
            self.calls += 1
        return (time.perf_counter() - began) * 1e3

    def open(self, workload, folder, inputs):
        self.folder = folder
        arrays = {
            name: np.fromfile(f"{folder}/{name}.in", spec["dtype"]).reshape(spec["shape"])
            for name, spec in inputs.items()
        }
        if workload not in MAKERS:
            return {"state": "absent"}
        self.step = MAKERS[workload](arrays)
        return {"state": "ready"}

    def check(self, tag):
        began = time.perf_counter()
        outputs = self.step(self.calls)
        ms = (time.perf_counter() - began) * 1e3
        self.calls += 1
        for name, value in outputs.items():
            np.ascontiguousarray(value, np.float32).tofile(f"{self.folder}/{name}.{tag}")
        return {"state": "checked", "outputs": list(outputs), "ms": ms}

    def warm(self, ms, least, most):
        times = []
        while len(times) < most and (len(times) < least or sum(times) < ms):
            times.append(self.run(1))
        late = times[len(times) * 2 // 3 :]
        return {"state": "warmed", "ms": sum(late) / len(late)}

    def time(self, lead, samples, inner):
        self.run(lead)
        return {"state": "timed", "times": [self.run(inner) / inner for _ in range(samples)]}

    def close(self):
        return {"state": "closed"}


def main():
    process = Process()
    requests, replies = os.fdopen(3, "r"), os.fdopen(os.dup(3), "w")
    for line in requests:
        request = json.loads(line)
        try:
            reply = getattr(process, request.pop("do"))(**request)
        except Exception as error:
            reply = {"state": "failed", "error": repr(error)}
        print(json.dumps(reply), file=replies, flush=True)


main()
