/**
 * The playground as a test sees it: opened, watched for errors, with names for what one touches.
 *
 * Every test fails if the page logs an error or throws one, whatever else it checks.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test as base, expect } from '@playwright/test';
import { servePage } from './browser.js';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds wrong with the page as it is now, in words. */
export async function seriousFindings(page) {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await globalThis.axe.run();
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    return serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`);
  });
}

/** Sets a slider's exact value. */
export async function set(playground, label, value) {
  const box = playground.page.getByLabel(`${label}, exact`);
  await box.fill(String(value));
  await box.press('Enter');
  return box;
}

/** One page with the playground in it. */
export class Playground {
  constructor(page) {
    this.page = page;
    this.errors = [];
    page.on('console', (message) => message.type() === 'error' && this.errors.push(message.text()));
    page.on('pageerror', (error) => this.errors.push(error.message));
  }

  /** Opens an address and waits for the first frame. */
  async open(address) {
    await this.page.goto(address);
    await expect(this.node('n1')).toHaveAttribute('data-state', /up|down|suspected/);
    return this;
  }

  /** A node's group on the stage. */
  node(name) {
    return this.page.locator(`.node[data-node="${Number(name.slice(1)) - 1}"]`);
  }

  /** A node's disc. */
  disc(name) {
    return this.node(name).locator('.body');
  }

  /** A link's group on the stage. */
  link(a, b) {
    return this.page.locator(`[data-link="${Number(a.slice(1)) - 1}-${Number(b.slice(1)) - 1}"]`);
  }

  /** Clicks in the middle of a link; a level one has no height, so Playwright itself would not see it. */
  async clickLink(a, b) {
    const { x, y, width, height } = await this.link(a, b).locator('.hit').boundingBox();
    await this.page.mouse.click(x + width / 2, y + height / 2);
  }

  panel(name) {
    return this.page.getByRole('region', { name, exact: true });
  }

  /** The latest request of the reader, as the client panel shows it. */
  latest() {
    return this.page.getByRole('list', { name: 'Your requests' }).getByRole('listitem').first();
  }

  /** Asks a node for something and waits for what comes of it. */
  async ask(node, button, key, value) {
    const clients = this.panel('Clients');
    await clients.getByRole('combobox', { name: 'Node' }).selectOption({ index: Number(node.slice(1)) - 1 });
    await clients.getByRole('textbox', { name: 'Key' }).fill(key);
    if (value !== undefined) await clients.getByRole('textbox', { name: 'Value' }).fill(value);
    await clients.getByRole('button', { name: button, exact: true }).click();
    await expect(this.latest()).toContainText(`${node} ${button.toLowerCase()} ${key}`);
    await expect(this.latest()).not.toHaveAttribute('data-outcome', 'open');
    return this.latest();
  }

  /** The line along which one can go through the run. */
  line() {
    return this.page.getByRole('slider', { name: 'Moment of the run' });
  }

  /** The moment shown or looked for, in µs. */
  async moment() {
    return Number(await this.line().inputValue());
  }

  /** The hash of the frame that is shown. */
  hash() {
    return this.page.locator('.hash');
  }

  /** Pauses; returns the moment and its hash once nothing moves any more. */
  async pause() {
    // Whoever shares has the answer to everything that was asked before, and is told the hash.
    await this.share();
    return { at: await this.moment(), hash: await this.hash().textContent() };
  }

  /** Goes to a moment. */
  async seek(us) {
    await this.line().fill(String(Math.round(us)));
  }

  /** Pauses and returns the address of a link to this moment, with the hash it promises. */
  async share() {
    const pause = this.page.getByRole('button', { name: 'Pause' });
    if (await pause.isVisible()) await pause.click();
    await this.page.getByRole('button', { name: 'Share' }).click();
    const toast = this.page.locator('.toast');
    const promised = async () => /must end at hash ([0-9a-f]{16})/.exec(await toast.textContent())?.[1] ?? '';
    // The words about an earlier link may still be there.
    await expect.poll(async () => `hash ${(await promised()).slice(0, 8)}` === await this.hash().textContent()).toBe(true);
    const hash = await promised();
    return { address: await this.page.evaluate(() => navigator.clipboard.readText()), hash };
  }
}

export const test = base.extend({
  server: [async ({}, use) => {
    const server = await servePage();
    await use(server);
    server.close();
  }, { scope: 'worker' }],
  /** Wraps further pages of the same test, and checks them too. */
  watch: async ({}, use) => {
    const watched = [];
    await use((page) => {
      const playground = new Playground(page);
      watched.push(playground);
      return playground;
    });
    for (const { errors } of watched) expect(errors, 'errors in the console').toEqual([]);
  },
  playground: async ({ page, server, watch }, use) => {
    await use(await watch(page).open(server.url));
  },
});

export { expect };
