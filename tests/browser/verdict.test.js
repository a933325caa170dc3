/** The judges on the page, and the search for a run that breaks a promise. */
import { expect, seriousFindings, set, test } from './playground.js';

const chip = (playground, demand) => playground.page.locator(`.chip[data-demand="${demand}"]`);

async function weaken(playground) {
  await set(playground, 'Read quorum', 1);
  await set(playground, 'Write quorum', 1);
}

test('sound quorums keep every promise, and each verdict says what was judged', async ({ playground }) => {
  for (const demand of ['latest', 'sessions', 'sound']) await expect(chip(playground, demand)).toHaveAttribute('data-says', 'holds');
  await chip(playground, 'latest').focus();
  await playground.page.keyboard.press('Enter');
  await expect(playground.page.getByRole('group', { name: 'Verdict in full' })).toContainText(/Nothing speaks against it in \d+ operations up to/);
});

test('a stale read is objected to, told in words, and its moment is gone to', async ({ playground }) => {
  const { page } = playground;
  await weaken(playground);
  for (let i = 0; i < 3; i += 1) await page.keyboard.press('+');
  await expect(chip(playground, 'latest')).toHaveAttribute('data-says', 'wrong', { timeout: 60_000 });
  const { at: before } = await playground.pause();
  await chip(playground, 'latest').focus();
  await page.keyboard.press('Enter');
  const told = page.getByRole('group', { name: 'Verdict in full' });
  await expect(told).toContainText('A client missed the latest write');
  await expect(told).toContainText('does not promise it');
  await expect(told.getByRole('listitem')).toHaveCount(2);
  await expect(told.getByRole('listitem').first()).toContainText(/n\d (put|get|delete) k\d+/);
  const moment = (await told.getByRole('button', { name: /^Go to/ }).textContent()).replace('Go to ', '');
  await expect(page.getByLabel('Simulated time')).toHaveText(moment);
  expect(await playground.moment()).toBeLessThan(before);
  expect(await seriousFindings(page)).toEqual([]);
  // A moment earlier nothing is wrong yet.
  await page.keyboard.press('Shift+ArrowLeft');
  await expect(chip(playground, 'latest')).toHaveAttribute('data-says', 'holds');
});

test('a search finds a stale read, makes it small, and opens it', async ({ playground }) => {
  const { page } = playground;
  await weaken(playground);
  await page.getByRole('button', { name: 'Break it for me' }).focus();
  await page.keyboard.press('Enter');
  await expect(page.getByText('N 3, R 1, W 1')).toBeVisible();
  await page.getByRole('button', { name: 'Search', exact: true }).focus();
  await page.keyboard.press('Enter');
  const found = page.locator('.found');
  await expect(found).toContainText(/\d nodes, \d steps/);
  expect(await found.getByRole('listitem').count()).toBeLessThanOrEqual(8);
  expect(await seriousFindings(page)).toEqual([]);
  await found.getByRole('link', { name: 'Open this run' }).focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('status').filter({ hasText: 'Reproduced exactly' })).toBeVisible();
  await expect(page.locator('.chip[data-says="wrong"]').first()).toBeVisible();
});

test('with sound settings a search finds nothing, and says in how many runs', async ({ playground }) => {
  const { page } = playground;
  await page.getByRole('button', { name: 'Break it for me' }).click();
  for (const name of ['Nothing is made up', 'It recovers']) await page.getByRole('checkbox', { name }).check();
  await page.getByRole('button', { name: 'Search', exact: true }).click();
  const state = page.locator('.state');
  await expect(state).toContainText(/^(1\d|[2-9]\d|\d{3,}) of [\d,]+ runs tried, [\d,]+ events per second/);
  await page.getByRole('button', { name: 'Stop searching' }).click();
  await expect(state).toContainText(/^No objection in \d+ runs/);
});

test.describe('on a phone', () => {
  test.use({ viewport: { width: 360, height: 760 }, hasTouch: true, isMobile: true });

  test('time travel, verdicts and the search have room', async ({ playground }) => {
    const { page } = playground;
    await playground.pause();
    await playground.seek(4_000_000);
    await playground.disc('n4').tap();
    await expect(page.getByRole('group', { name: 'Branches' }).getByRole('button')).toHaveCount(2);
    await page.getByRole('button', { name: 'Break it for me' }).tap();
    await expect(page.getByRole('button', { name: 'Search', exact: true })).toBeVisible();
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
    expect(await seriousFindings(page)).toEqual([]);
  });
});
