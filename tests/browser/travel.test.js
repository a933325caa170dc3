/** Time travel: any moment is found again, and each future stays. */
import { expect, test } from './playground.js';

test('a moment that is looked for again has the hash it had at first', async ({ playground }) => {
  const first = await playground.pause();
  await playground.seek(first.at - 1_000_000);
  await expect(playground.hash()).not.toHaveText(first.hash);
  const before = await playground.hash().textContent();
  // The end is where it was paused, be it between two events of one moment.
  await playground.line().press('End');
  await expect(playground.hash()).toHaveText(first.hash);

  await playground.page.getByRole('button', { name: 'Play' }).click();
  await expect.poll(() => playground.moment()).toBeGreaterThan(first.at + 1_500_000);
  const later = await playground.pause();
  await playground.seek(first.at - 1_000_000);
  await expect(playground.hash()).toHaveText(before);
  await playground.line().press('End');
  await expect(playground.hash()).toHaveText(later.hash);
});

test('the arrow keys go along the run, and the panels with them', async ({ playground }) => {
  const { page } = playground;
  await playground.disc('n4').click();
  await expect(playground.node('n4')).toHaveAttribute('data-state', 'down');
  const { at } = await playground.pause();
  await playground.line().focus();
  await page.keyboard.press('Shift+ArrowLeft');
  await page.keyboard.press('ArrowLeft');
  await expect.poll(async () => Math.abs(at - 1_100_000 - (await playground.moment()))).toBeLessThan(5);
  await page.keyboard.press('Home');
  await expect(page.getByLabel('Simulated time')).toHaveText('0:00.000');
  await expect(playground.panel('Event log')).not.toContainText('crash n4');
  await page.keyboard.press('End');
  await expect(playground.panel('Event log')).toContainText('crash n4');
  await expect(playground.node('n4')).toHaveAttribute('data-state', 'down');
});

test('so many events back and as many on lead to the same place', async ({ playground }) => {
  const { page } = playground;
  const { at, hash } = await playground.pause();
  // Not each event goes into a node and so into the hash, but some of these do.
  for (let i = 0; i < 20; i += 1) await page.keyboard.press(',');
  await expect(playground.hash()).not.toHaveText(hash);
  for (let i = 0; i < 20; i += 1) await page.keyboard.press('.');
  await expect(playground.hash()).toHaveText(hash);
  expect(await playground.moment()).toBeLessThanOrEqual(at);
  // There the past ends: one more event has never been.
  const branches = page.getByRole('group', { name: 'Branches' });
  await page.keyboard.press('.');
  await expect.poll(() => playground.moment()).toBeGreaterThanOrEqual(at);
  await expect(branches).toHaveCount(0);
});

test('acting in the past begins a branch, and the old future can be gone to', async ({ playground, context, watch }) => {
  const { page } = playground;
  const old = await playground.pause();
  await page.keyboard.press('Shift+ArrowLeft');
  await expect(page.getByText('act here to branch')).toBeVisible();
  await playground.disc('n4').click();
  await expect(playground.node('n4')).toHaveAttribute('data-state', 'down');
  const branches = page.getByRole('group', { name: 'Branches' }).getByRole('button');
  await expect(branches).toHaveCount(2);
  await expect(branches.nth(1)).toHaveAttribute('aria-pressed', 'true');
  await expect(branches.nth(1)).toHaveAccessibleName(/left branch 1 at .*, 1 action$/);

  // Each on its own, by keyboard.
  await branches.nth(0).focus();
  await page.keyboard.press('Enter');
  await expect(playground.node('n4')).toHaveAttribute('data-state', /up|suspected/);
  await playground.line().press('End');
  await expect(playground.hash()).toHaveText(old.hash);
  await page.keyboard.press(']');
  await expect(playground.node('n4')).toHaveAttribute('data-state', 'down');

  // A link carries the branch that is shown.
  await page.getByRole('button', { name: 'Play' }).click();
  await expect.poll(async () => await playground.moment()).toBeGreaterThan(old.at);
  const { address, hash } = await playground.share();
  const copy = await watch(await context.newPage()).open(address);
  await expect(copy.page.getByRole('status').filter({ hasText: 'Reproduced exactly' })).toContainText(hash);
  await expect(copy.node('n4')).toHaveAttribute('data-state', 'down');
  // And its past with it.
  await copy.line().press('Home');
  await expect(copy.page.getByLabel('Simulated time')).toHaveText('0:00.000');
});

test('the thumb stays at the moment shown, also where a branch has no more', async ({ playground }) => {
  const { page } = playground;
  const { at } = await playground.pause();
  await playground.seek(0.25 * at);
  await playground.disc('n2').click();
  await expect(page.getByRole('group', { name: 'Branches' }).getByRole('button')).toHaveCount(2);
  const here = await playground.moment();
  const box = await playground.line().boundingBox();
  await page.mouse.click(box.x + 0.8 * box.width, box.y + box.height / 2);
  await expect.poll(() => playground.moment()).toBe(here);
});

test('the story tells of the branch that is shown, and of the moment', async ({ playground, context, watch }) => {
  const { page } = playground;
  const told = playground.panel('Cluster').locator('.story p');
  await playground.pause();
  await page.keyboard.press('Shift+ArrowLeft');
  await playground.disc('n3').click();
  await playground.disc('n3').click();
  await expect(told).toContainText('nothing that was acknowledged is lost');
  await page.keyboard.press('[');
  await expect(told).toContainText('Take one away');
  await page.keyboard.press(']');
  await expect(told).toContainText('nothing that was acknowledged is lost');
  const { address } = await playground.share();
  const copy = await watch(await context.newPage()).open(address);
  await expect(copy.panel('Cluster').locator('.story p')).toContainText('nothing that was acknowledged is lost');
});

test('an opened run has the log of the one that was shared', async ({ playground, context, watch }) => {
  for (let i = 0; i < 3; i += 1) await playground.page.getByRole('button', { name: 'Faster' }).click();
  await expect.poll(() => playground.moment(), { timeout: 60_000 }).toBeGreaterThan(40_000_000);
  const { address } = await playground.share();
  const lines = async ({ page }) => (await page.getByRole('region', { name: 'Event log' }).locator('li .words').allTextContents()).join('\n');
  const copy = await watch(await context.newPage()).open(address);
  await expect(copy.panel('Event log')).toContainText('layout of epoch');
  await expect.poll(() => lines(copy)).toBe(await lines(playground));
});

test('a click on a track goes to that branch', async ({ playground }) => {
  const { page } = playground;
  const { at } = await playground.pause();
  await playground.seek(0.5 * at);
  await playground.disc('n2').click();
  const branches = page.getByRole('group', { name: 'Branches' }).getByRole('button');
  await expect(branches).toHaveCount(2);
  const box = await branches.nth(0).boundingBox();
  await page.mouse.click(box.x + box.width * 0.8, box.y + box.height / 2);
  await expect(branches.nth(0)).toHaveAttribute('aria-pressed', 'true');
  await expect.poll(async () => await playground.moment()).toBeGreaterThan(0.7 * at);
});

test('what was done is marked on the line and told when pointed at', async ({ playground }) => {
  const { page } = playground;
  await playground.disc('n3').click();
  await expect(playground.node('n3')).toHaveAttribute('data-state', 'down');
  await playground.pause();
  const { at_us: at, all } = await page.locator('.line .fault').evaluate((path) => {
    const x = Number(/^M([\d.]+)/.exec(path.getAttribute('d'))[1]);
    return { at_us: x / 1_000, all: 1 };
  });
  const box = await playground.line().boundingBox();
  await page.mouse.move(box.x + 8 + (box.width - 16) * (at / all), box.y + box.height / 2);
  await expect(page.locator('.tip')).toContainText('crash n3');
});
