/** The judges on the page, and the search for a run that breaks a promise. */
import { readFile } from 'node:fs/promises';
import { expect, seriousFindings, set, test } from './playground.js';

const chip = (playground, demand) => playground.page.locator(`.chip[data-demand="${demand}"]`);

/** One replica is enough for reads and writes, on all nodes. */
async function weaken(playground) {
  await set(playground, 'Read quorum', 1);
  await set(playground, 'Write quorum', 1);
  await expect(playground.panel('Event log')).toContainText('set write_quorum = 1 on n1');
  await expect(playground.panel('Settings').getByText(/^spreading/)).toHaveCount(0);
}

/** A new run of three nodes, each of which holds every key, and in which nobody else asks for anything. */
async function three(playground) {
  const { page } = playground;
  await page.getByText('New run').click();
  await page.getByRole('spinbutton', { name: 'Nodes' }).fill('3');
  await page.getByLabel('Seed').fill('5eed');
  await page.getByRole('button', { name: 'Start' }).click();
  await expect(playground.node('n4')).toHaveCount(0);
  await set(playground, 'Generated clients', 0);
  await expect(playground.panel('Event log')).toContainText('0 operations per second');
}

/** Cuts n1 off and lets it answer from what it has, after a write that it did not see. */
async function splitAndRead(playground, write, quorums = async () => {}) {
  await expect(await playground.ask('n1', 'Put', 'ours', 'old')).toContainText('written');
  // All have it before anything is cut, and before a read of one replica could already miss it.
  for (const other of ['n2', 'n3']) {
    await expect(async () => {
      await expect(await playground.ask(other, 'Get', 'ours')).toContainText('old', { timeout: 1_000 });
    }).toPass();
  }
  await quorums(playground);
  for (const other of ['n2', 'n3']) {
    await playground.clickLink('n1', other);
    await expect(playground.link('n1', other)).toHaveAttribute('data-cut', 'both');
  }
  await expect(await playground.ask('n2', 'Put', 'ours', 'new')).toContainText(write);
  return playground.ask('n1', 'Get', 'ours');
}

test('sound quorums keep every promise, even across a cut', async ({ playground }) => {
  await three(playground);
  await expect(await splitAndRead(playground, 'written')).toHaveAttribute('data-outcome', 'failed');
  const { at } = await playground.pause();
  await chip(playground, 'latest').focus();
  await playground.page.keyboard.press('Enter');
  const told = playground.page.getByRole('group', { name: 'Verdict in full' });
  const clock = `${Math.floor(at / 60e6)}:${String(Math.floor(at / 1e6) % 60).padStart(2, '0')}`;
  await expect(told).toContainText(new RegExp(`Nothing speaks against it in \\d+ operations up to ${clock}`));
  for (const demand of ['latest', 'sessions', 'sound']) await expect(chip(playground, demand)).toHaveAttribute('data-says', 'holds');
});

test('a stale read is objected to, told in words, and its moment is gone to', async ({ playground }) => {
  const { page } = playground;
  await three(playground);
  await expect(await splitAndRead(playground, 'written', weaken)).toContainText('old');
  await expect(chip(playground, 'latest')).toHaveAttribute('data-says', 'wrong');
  const { at: before } = await playground.pause();
  await chip(playground, 'latest').focus();
  await page.keyboard.press('Enter');
  const told = page.getByRole('group', { name: 'Verdict in full' });
  await expect(told).toContainText('does not promise it');
  await expect(told.getByRole('listitem')).toHaveCount(2);
  await expect(told.getByRole('listitem').filter({ hasText: 'n2 put ours = new: written' })).toHaveCount(1);
  await expect(told.getByRole('listitem').filter({ hasText: 'n1 get ours: old' })).toHaveCount(1);
  const moment = (await told.getByRole('button', { name: /^Go to/ }).textContent()).replace('Go to ', '');
  await expect(page.getByLabel('Simulated time')).toHaveText(moment);
  expect(await playground.moment()).toBeLessThan(before);
  await expect(chip(playground, 'latest')).toHaveAttribute('data-says', 'wrong');
  expect(await seriousFindings(page)).toEqual([]);
  // A moment earlier nothing is wrong yet.
  await page.keyboard.press('Shift+ArrowLeft');
  await expect(chip(playground, 'latest')).toHaveAttribute('data-says', 'holds');
});

test('the strong keyspace is judged where clients use it, and only then', async ({ playground }) => {
  const { page } = playground;
  await expect(chip(playground, 'latest')).toHaveAttribute('data-says', 'holds');
  await expect(chip(playground, 'linearizable')).toHaveCount(0);
  const one = await page.locator('.strip').boundingBox();
  await set(playground, 'Generated clients', 20);
  await set(playground, 'Strong share', 50);
  await expect(playground.panel('Event log')).toContainText('20 operations per second, 50 % of them strong');
  await expect(chip(playground, 'linearizable')).toHaveAttribute('data-says', 'holds');
  await expect(chip(playground, 'linearizable')).toContainText('As if there were one copy');
  await expect(chip(playground, 'linearizable')).toHaveAttribute('title', /In the strong keyspace one order/);
  // One more of them does not move the stage.
  expect((await page.locator('.strip').boundingBox()).height).toBe(one.height);
  // A read of the strong keyspace shows what was read, and does not lead to the place of another key.
  const strong = page.getByRole('list', { name: 'Requests of generated clients' }).getByRole('button').filter({ hasText: '(strong)' });
  await expect(strong.first()).toBeDisabled();
  await playground.pause();
  const counted = async (demand) => {
    await chip(playground, demand).click();
    const words = await page.getByRole('group', { name: 'Verdict in full' }).textContent();
    return Number(/in (\d+) operations?/.exec(words)[1]);
  };
  const [eventual, judged] = [await counted('latest'), await counted('linearizable')];
  expect(judged).toBeGreaterThan(0);
  expect(judged).toBeLessThan(eventual);
  expect(await seriousFindings(page)).toEqual([]);
  // Before the first of them there is nothing to judge.
  await playground.seek(5_000_000);
  await expect(chip(playground, 'linearizable')).toHaveCount(0);
  await page.getByRole('button', { name: 'Break it for me' }).click();
  await expect(page.getByRole('checkbox', { name: 'As if there were one copy' })).not.toBeChecked();
});

for (const [width, height] of [[1920, 44], [1440, 80], [1280, 80], [1024, 80], [390, 130]]) {
  test(`four verdicts are tidy on a screen of ${width} pixels`, async ({ playground }) => {
    const { page } = playground;
    await set(playground, 'Strong share', 100);
    await expect(chip(playground, 'linearizable')).toBeVisible();
    await page.setViewportSize({ width, height: 840 });
    const strip = await page.locator('.strip').boundingBox();
    expect(strip.height).toBeLessThanOrEqual(height);
    const boxes = await Promise.all((await page.locator('.strip .line > button').all()).map((button) => button.boundingBox()));
    expect(boxes).toHaveLength(5);
    for (const [index, a] of boxes.entries()) {
      expect(a.x + a.width).toBeLessThanOrEqual(strip.x + strip.width);
      for (const b of boxes.slice(index + 1)) {
        const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
        expect(apart, 'buttons lie on each other').toBe(true);
      }
    }
  });
}

test('a search finds a stale read, makes it small, and opens it', async ({ playground }) => {
  const { page } = playground;
  await weaken(playground);
  await page.getByRole('button', { name: 'Break it for me' }).focus();
  await page.keyboard.press('Enter');
  await expect(page.getByText('N 3, R 1, W 1')).toBeVisible();
  await page.getByRole('button', { name: 'Search', exact: true }).focus();
  await page.keyboard.press('Enter');
  const found = page.locator('.found');
  await expect(found).toContainText(/\d nodes?, (\d+ steps?|no faults)/, { timeout: 60_000 });
  expect(await found.getByRole('listitem').count()).toBeLessThanOrEqual(8);
  await expect(found).toContainText(/At \d+:\d\d\.\d+: .*read/);
  expect(await seriousFindings(page)).toEqual([]);
  const title = (await found.getByRole('heading').textContent()).split(':')[0];

  // It is a test of the suite too: the same words on the page, on the clipboard, and in a file.
  await found.getByRole('button', { name: 'Show it as a test' }).focus();
  await page.keyboard.press('Enter');
  const script = await found.getByRole('region', { name: 'Script' }).textContent();
  expect(script).toMatch(/^# .+\nbegin nodes=\d+ seed=\d+ [^]*\nanswers\njudge\n---\n[^]+\n$/);
  expect(await seriousFindings(page)).toEqual([]);
  await found.getByRole('button', { name: 'Copy' }).click();
  await expect(page.locator('.toast')).toContainText('Script copied');
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(script);
  const downloads = page.waitForEvent('download');
  await found.getByRole('link', { name: 'Download' }).click();
  const download = await downloads;
  expect(download.suggestedFilename()).toBe('found.script');
  expect(await readFile(await download.path(), 'utf8')).toBe(script);
  await found.getByRole('link', { name: 'Open this run' }).focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('status').filter({ hasText: 'Reproduced exactly' })).toBeVisible();
  const wrong = page.locator('.chip[data-says="wrong"]').first();
  await wrong.click();
  await expect(page.getByRole('group', { name: 'Verdict in full' })).toContainText(title);
});

test('with sound settings a search finds nothing, and says in how many runs', async ({ playground }) => {
  const { page } = playground;
  await page.getByRole('button', { name: 'Break it for me' }).click();
  for (const name of ['Nothing is made up', 'It recovers']) await page.getByRole('checkbox', { name }).check();
  await page.getByRole('button', { name: 'Search', exact: true }).click();
  const state = page.locator('.state');
  await expect(state).toContainText(/^([3-9]|\d{2,}) of [\d,]+ runs tried, [\d,]+ events per second/, { timeout: 60_000 });
  await page.getByRole('button', { name: 'Stop searching' }).click();
  await expect(state).toContainText(/^No objection in \d+ runs/);
});

test.describe('on a phone', () => {
  test.use({ viewport: { width: 360, height: 760 }, hasTouch: true, isMobile: true });

  test('time travel, verdicts and the search have room', async ({ playground }) => {
    const { page } = playground;
    const { at } = await playground.pause();
    await playground.seek(0.5 * at);
    await playground.disc('n4').tap();
    await expect(page.getByRole('group', { name: 'Branches' }).getByRole('button')).toHaveCount(2);
    await page.getByRole('button', { name: 'Break it for me' }).tap();
    await expect(page.getByRole('button', { name: 'Search', exact: true })).toBeVisible();
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
    expect(await seriousFindings(page)).toEqual([]);
  });
});
