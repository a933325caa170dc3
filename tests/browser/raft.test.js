/** Raft in the page: the leader is killed, another takes over, the logs agree, and the line of time tells. */
import { expect, seriousFindings, test } from './playground.js';

const KILL = { name: 'Kill the leader' };

/** The lanes of the Raft view, as numbers. */
function lanes(page) {
  return page.locator('.lanes > li').evaluateAll((items) => items.map(({ dataset }) => ({
    node: `n${Number(dataset.node) + 1}`, role: dataset.role, term: Number(dataset.term), last: Number(dataset.last), commit: Number(dataset.commit),
  })));
}

/** Who leads, by the lanes; null if nobody does. */
async function leader(page) {
  return (await lanes(page)).find(({ role }) => role === 'leader') ?? null;
}

/** Opens the Raft view, by tab on a phone, and waits for a leader. */
async function open(playground) {
  const groups = playground.page.getByRole('group', { name: /^(Panels|Shown here)$/ });
  await groups.getByRole('button', { name: /^Raft/ }).filter({ visible: true }).click();
  await expect.poll(() => leader(playground.page)).not.toBeNull();
  return leader(playground.page);
}

async function clock(page) {
  const [minutes, seconds] = (await page.getByLabel('Simulated time').textContent()).split(':').map(Number);
  return 60 * minutes + seconds;
}

/** Waits until another node than this leads, and returns it. */
async function successor(playground, before) {
  // Slow links may take the candidates several terms.
  await expect.poll(async () => (await leader(playground.page))?.term ?? 0, { timeout: 60_000 }).toBeGreaterThan(before.term);
  return leader(playground.page);
}

test('another node takes over within seconds, and the logs agree', async ({ playground }) => {
  const { page } = playground;
  const before = await open(playground);
  const killedAt = await clock(page);
  await page.getByRole('button', KILL).click();
  await expect(playground.node(before.node)).toHaveAttribute('data-state', 'down');
  const after = await successor(playground, before);
  expect(await clock(page) - killedAt).toBeLessThan(30);
  expect(after.node).not.toBe(before.node);
  await expect(playground.disc(after.node)).toHaveAttribute('aria-label', new RegExp(`leads in term ${after.term}`));
  await expect(playground.panel('Cluster')).toContainText(`${after.node} leads in term ${after.term}`);
  await expect(playground.panel('Cluster')).toContainText('members can join and leave again');
  await expect.poll(async () => {
    const up = (await lanes(page)).filter(({ role }) => role !== 'down');
    return up.length === 4 && up.every(({ last, commit }) => last === up[0].last && commit === last);
  }).toBe(true);

  const bands = page.locator('.bands span');
  await expect(bands.last()).toHaveAttribute('data-leader', after.node);
  await expect(bands.last()).toHaveAttribute('data-term', String(after.term));
  // Looking back changes what is shown, not what is known of the future.
  const count = await bands.count();
  await playground.line().focus();
  await page.keyboard.press('Home');
  await expect(page.getByLabel('Simulated time')).toHaveText('0:00.000');
  await expect(bands).toHaveCount(count);
  await page.keyboard.press('End');
  await expect(playground.line()).toHaveAttribute('aria-valuetext', new RegExp(`${after.node}, leader of term ${after.term}`));
  await expect(page.locator('.tip')).toContainText(`${after.node}, leader of term ${after.term}`);
});

test('the leader is killed by keyboard while paused, and all begins when time goes on', async ({ playground }) => {
  const { page } = playground;
  const before = await open(playground);
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.keyboard.press('k');
  await expect(playground.node(before.node)).toHaveAttribute('data-state', 'down');
  await expect(playground.panel('Cluster')).toContainText('Press play');
  await expect(page.getByRole('button', KILL)).toBeDisabled();
  await page.getByRole('button', { name: 'Play' }).click();
  const after = await successor(playground, before);
  await page.getByRole('button', { name: `Bring ${before.node} back` }).click();
  await expect(playground.panel('Cluster')).not.toContainText('leads in term');
  // The old leader comes back as a follower of the new one.
  await expect.poll(async () => (await lanes(page)).find(({ node }) => node === before.node)).toMatchObject({ role: 'follower', term: after.term });
});

test('the inspector tells of the group, and the events come back in place of the logs', async ({ playground }) => {
  const { page } = playground;
  const before = await open(playground);
  await expect(playground.panel('Event log')).toBeHidden();
  await playground.node(before.node).locator('.info').click();
  await expect(playground.panel('Inspector')).toContainText(/Metadata leader\s*n\d/);
  await expect(playground.panel('Inspector')).toContainText(/Raft role\s*leader/);
  await page.getByRole('button', { name: 'Events', exact: true }).click();
  await expect(playground.panel('Event log')).toBeVisible();
  await expect(playground.panel('Raft')).toBeHidden();
});

for (const width of [360, 390]) {
  test.describe(`on a phone of ${width} pixels`, () => {
    test.use({ viewport: { width, height: 844 }, hasTouch: true, isMobile: true });

    test('the leader is killed by touch, and its logs fit', async ({ playground }) => {
      const { page } = playground;
      const before = await open(playground);
      await page.getByRole('button', KILL).tap();
      await expect(playground.node(before.node)).toHaveAttribute('data-state', 'down');
      await successor(playground, before);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
      expect(await seriousFindings(page)).toEqual([]);
    });
  });
}

for (const colorScheme of ['light', 'dark']) {
  test.describe(`the Raft view in the ${colorScheme} theme`, () => {
    test.use({ colorScheme, contextOptions: { reducedMotion: 'reduce' } });

    test('has no serious finding of axe, and is told in words', async ({ playground }) => {
      const before = await open(playground);
      expect(await seriousFindings(playground.page)).toEqual([]);
      const list = playground.page.getByRole('list', { name: 'Logs of the metadata group' });
      await expect(list).toContainText(new RegExp(`${before.node}, leader, term ${before.term}: \\d+ entries, on disk to \\d+, committed to \\d+`));
    });
  });
}
