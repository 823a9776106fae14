// node node.mjs model.onnx < rows.json > scores.json
import { readFileSync } from "node:fs";
import { score } from "./scoring.mjs";

const rows = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(await score(readFileSync(process.argv[2]), rows)));
