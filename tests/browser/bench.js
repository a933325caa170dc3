/**
 * `npm run bench`: how soon the built page shows, how much it weighs, how smoothly it runs.
 *
 * First paint and first frame of the cluster over several fresh loads, everything that is loaded after
 * gzip, and animation frames a second with five nodes at work. Prints each beside its limit.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { chromium } from '@playwright/test';
import { LAUNCH, PAGE, servePage } from './browser.js';

const LOADS = 5;
const WATCH_MS = 5_000;
const SIZE_MAX = 400 * 1_000;

const server = await servePage();
const browser = await chromium.launch(LAUNCH);
try {
  await weigh();
  await load();
  for (const speed of [1, 4, 64]) await run(speed);
} finally {
  await browser.close();
  server.close();
}

async function weigh() {
  const entries = await readdir(PAGE, { recursive: true, withFileTypes: true });
  let total = 0;
  for (const entry of entries.filter((candidate) => candidate.isFile())) {
    const size = gzipSync(await readFile(join(entry.parentPath, entry.name)), { level: 9 }).length;
    total += size;
    print(`gzip ${entry.name}`, `${(size / 1_000).toFixed(1)} kB`);
  }
  print('gzip of everything', `${(total / 1_000).toFixed(1)} kB`, total <= SIZE_MAX, 'limit 400 kB');
}

async function load() {
  const paints = [];
  const frames = [];
  for (let i = 0; i < LOADS; i += 1) {
    const page = await fresh();
    await page.goto(server.url);
    await page.locator('.node.up').first().waitFor();
    frames.push(await page.evaluate(() => performance.now()));
    paints.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Infinity));
    await page.context().close();
  }
  const paint = median(paints);
  print('first contentful paint', `${paint.toFixed(0)} ms`, paint < 1_000, `limit 1000 ms; median of ${LOADS} fresh loads`);
  print('cluster on screen', `${median(frames).toFixed(0)} ms`);
}

async function run(speed) {
  const page = await fresh();
  await page.goto(server.url);
  await page.locator('.node.up').first().waitFor();
  while (parseFloat(await page.locator('.speed output').textContent()) < speed) await page.keyboard.press('+');
  const gaps = await page.evaluate((watchMs) => new Promise((resolve) => {
    const seen = [];
    let last = performance.now();
    const stop = last + watchMs;
    requestAnimationFrame(function next(now) {
      seen.push(now - last);
      last = now;
      if (now < stop) requestAnimationFrame(next);
      else resolve(seen.slice(1));
    });
  }), WATCH_MS);
  const rate = (1_000 * gaps.length) / gaps.reduce((sum, gap) => sum + gap, 0);
  const slow = gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length * 0.99)];
  print(`5 nodes at ${speed}×`, `${rate.toFixed(1)} frames/s`, rate > 58, `wanted 60, ok above 58; 99th percentile of a frame ${slow.toFixed(1)} ms`);
  await page.context().close();
}

async function fresh() {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  return context.newPage();
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

function print(what, value, good, note = '') {
  const verdict = good === undefined ? '' : good ? 'ok' : 'MISSED';
  console.log(`${what.padEnd(36)} ${value.padStart(16)}  ${verdict.padEnd(7)}${note}`);
}
