/**
 * Times the WebAssembly module in Node: `node run.mjs MODULE ENTRIES` prints the rates of its functions
 * per second as one line of JSON.
 */
import { readFileSync } from "node:fs";

const [path, entries] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(path));
const rates = {};
for (const [name, argument] of [["insert", Number(entries)], ["hit"], ["miss"], ["scan"]]) {
  const start = performance.now();
  const count = instance.exports[name](argument);
  if (count === 0) throw new Error(`${name} failed`);
  rates[name] = (count * 1000) / (performance.now() - start);
}
console.log(JSON.stringify(rates));
