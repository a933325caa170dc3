/**
 * Times a simulated cluster in Node: `node simulate.mjs MODULE NODES PER_SECOND MILLIS` prints how many
 * events there were and how many seconds they took.
 */
import { readFileSync } from "node:fs";

const [path, nodes, perSecond, millis] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(path));
const { begin, simulate } = instance.exports;
if (begin(Number(nodes), Number(perSecond)) === 0) throw new Error("the cluster cannot be");
const start = performance.now();
const events = simulate(Number(millis));
console.log(events, (performance.now() - start) / 1000);
