// What Node and browsers share: scores rows with onnxruntime-web.
// rows: {"rows": n, "dense": [...], "ids": ["...", ...]}, row by row; ids as text, for JSON numbers end at 2^53.
import * as ort from "onnxruntime-web";

ort.env.wasm.numThreads = 1;

export async function score(model, { rows, dense, ids }) {
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  const numbers = Float32Array.from(dense, (x) => (x === null ? NaN : x));
  const { score } = await session.run({
    dense: new ort.Tensor("float32", numbers, [rows, dense.length / rows]),
    ids: new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [rows, ids.length / rows]),
  });
  return Array.from(score.data);
}
