// Scores rows with onnxruntime-web: node score.mjs model.onnx < rows.json > scores.json
// rows.json: {"rows": n, "dense": [...], "ids": ["...", ...]}, row by row; ids as text, for JSON numbers end at 2^53.
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-web";

ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(readFileSync(process.argv[2]), { executionProviders: ["wasm"] });
const { rows, dense, ids } = JSON.parse(readFileSync(0, "utf8"));
const numbers = Float32Array.from(dense, (x) => (x === null ? NaN : x));
const { score } = await session.run({
  dense: new ort.Tensor("float32", numbers, [rows, dense.length / rows]),
  ids: new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [rows, ids.length / rows]),
});
console.log(JSON.stringify(Array.from(score.data)));
