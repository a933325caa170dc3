/** The network as a whole and one link of it: split in one act, slow, lossy, late; each is told, shared, and reached without a mouse. */
import { expect, seriousFindings, set, test } from './playground.js';

const settings = (playground) => playground.panel('Settings');
const picker = (playground) => playground.page.getByRole('group', { name: 'Partition the network' });
const cutOff = (playground) => picker(playground).getByRole('button', { name: /^Cut/ });

/** Opens the choice of sides. */
async function split(playground) {
  await settings(playground).getByRole('button', { name: 'Partition…' }).click();
  await expect(picker(playground)).toBeVisible();
}

/** What can be done to a link that is touched. */
const link = (playground, a, b) => playground.page.getByRole('group', { name: `Link ${a} to ${b}`, exact: true });

/** Reaches a link from the inspector, which does not cut it, and opens its latency and loss. */
async function tune(playground, a, b) {
  const inspector = playground.panel('Inspector');
  await inspector.getByRole('combobox', { name: 'Node to inspect' }).selectOption(a);
  await inspector.getByRole('button', { name: new RegExp(`^${b} (alive|suspected)$`) }).click();
  await expect(link(playground, a, b).getByRole('button', { name: 'Cut both' })).toBeFocused();
  await link(playground, a, b).getByRole('button', { name: 'Slow or lossy…' }).click();
  return playground.page.getByRole('group', { name: `Latency and loss of ${a} – ${b}` });
}

/** Opens a link to this moment in another tab. */
async function copied({ playground, context, watch }) {
  const { address, hash } = await playground.share();
  const copy = await watch(await context.newPage()).open(address);
  await expect(copy.page.getByRole('status').filter({ hasText: 'Reproduced exactly' })).toContainText(hash);
  return copy;
}

test('the network is split in one act by keyboard alone, shown, shared, and healed', async ({ playground, context, watch }) => {
  const { page } = playground;
  await settings(playground).getByRole('button', { name: 'Partition…' }).focus();
  await page.keyboard.press('Enter');
  await expect(cutOff(playground)).toBeDisabled();
  const n1 = picker(playground).getByRole('button', { name: 'n1', exact: true });
  await n1.focus();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await expect(n1).toHaveAttribute('aria-pressed', 'true');
  // What is picked shows on the stage before anything is done.
  await expect(playground.node('n2')).toHaveAttribute('data-side', '1');
  await expect(playground.link('n1', 'n3')).toHaveAttribute('data-cut', 'none');
  await expect(cutOff(playground)).toHaveText('Cut 2 off from 3 nodes');
  await cutOff(playground).focus();
  await page.keyboard.press('Enter');

  await expect(playground.panel('Event log')).toContainText('partition the network: n1 n2 | n3 n4 n5');
  for (const [a, b, cut] of [['n1', 'n2', 'none'], ['n3', 'n5', 'none'], ['n1', 'n3', 'both'], ['n2', 'n5', 'both']]) {
    await expect(playground.link(a, b)).toHaveAttribute('data-cut', cut);
  }
  await expect(playground.panel('Cluster')).toContainText('n1, n2 and n3, n4, n5 cannot hear each other');
  await expect(playground.disc('n1')).toHaveAttribute('aria-label', /cut off from most others/);
  await expect(playground.disc('n3')).not.toHaveAttribute('aria-label', /cut off/);

  const copy = await copied({ playground, context, watch });
  await expect(copy.link('n2', 'n4')).toHaveAttribute('data-cut', 'both');

  await picker(playground).getByRole('button', { name: 'Heal' }).click();
  await expect(playground.link('n1', 'n3')).toHaveAttribute('data-cut', 'none');
  await expect(playground.node('n1')).toHaveAttribute('data-side', '0');
  await expect(picker(playground).getByRole('button', { name: 'Heal' })).toBeDisabled();
});

test('more nodes than have lines between them are halved, and the link of two of them is reached', async ({ playground }) => {
  const { page } = playground;
  await page.getByText('New run').click();
  await page.getByRole('spinbutton', { name: 'Nodes' }).fill('20');
  await page.getByRole('button', { name: 'Start' }).click();
  await expect(playground.node('n20')).toHaveAttribute('data-state', /up|suspected/);
  await split(playground);
  await picker(playground).getByRole('button', { name: 'Half of them' }).click();
  await expect(cutOff(playground)).toHaveText('Cut 10 off from 10 nodes');
  await cutOff(playground).click();
  await expect(playground.panel('Cluster')).toContainText('10 nodes and 10 nodes cannot hear each other');
  await expect(page.locator('.node[data-side="1"]')).toHaveCount(10);

  await tune(playground, 'n1', 'n7');
  await set(playground, 'Link loss', 100);
  await expect(playground.panel('Event log')).toContainText('1000 of 1000 lost');
  await expect(playground.panel('Event log')).toContainText(/link n1 → n7: \d+ to \d+ ms, 1000 of 1000 lost/);
});

test('one link is slow, one direction of it lossy, and then it is like the others again', async ({ playground, context, watch }) => {
  const { page } = playground;
  const log = playground.panel('Event log');
  const tuner = await tune(playground, 'n1', 'n2');
  await expect(playground.link('n1', 'n2')).toHaveAttribute('data-cut', 'none');
  const latency = await set(playground, 'Link latency', 900);
  for (const way of ['n1 → n2', 'n2 → n1']) await expect(log).toContainText(`link ${way}: 450 to 1350 ms, 0 of 1000 lost`);
  await expect(playground.link('n1', 'n2')).toHaveClass(/own/);
  await expect(playground.link('n1', 'n2')).toHaveAttribute('aria-label', /unlike the others/);

  await tuner.getByRole('button', { name: 'n2 → n1' }).click();
  const loss = await set(playground, 'Link loss', 50);
  await expect(log).toContainText('link n2 → n1: 450 to 1350 ms, 500 of 1000 lost');
  await expect(loss).toHaveValue('50');
  await tuner.getByRole('button', { name: 'n1 → n2' }).click();
  await expect(loss).toHaveValue('0');
  await expect(latency).toHaveValue('900');
  expect(await seriousFindings(page)).toEqual([]);

  const copy = await copied({ playground, context, watch });
  await tune(copy, 'n1', 'n2');
  await expect(copy.page.getByLabel('Link latency, exact')).toHaveValue('900');

  await tuner.getByRole('button', { name: 'Both ways' }).click();
  await tuner.getByRole('button', { name: 'Like the others' }).click();
  await expect(playground.link('n1', 'n2')).not.toHaveClass(/own/);
  await expect(latency).toHaveValue('220');
  await expect(loss).toHaveValue('0');
  await expect(tuner.getByRole('button', { name: 'Like the others' })).toBeDisabled();
  await page.keyboard.press('Escape');
  await expect(tuner).toBeHidden();
  await expect(link(playground, 'n1', 'n2').getByRole('button', { name: 'Slow or lossy…' })).toBeFocused();
});

test('some messages are far too late, and a copy shows at once that they are', async ({ playground, context, watch }) => {
  const rare = playground.page.getByText('Twice, out of order, far too late');
  await expect(playground.page.getByLabel('Stragglers, exact')).toBeHidden();
  await rare.click();
  await set(playground, 'Stragglers', 7);
  await set(playground, 'Straggler delay', 50);
  await expect(playground.panel('Event log')).toContainText('70 of 1000 up to 50 times slower');
  const copy = await copied({ playground, context, watch });
  await expect(copy.page.getByLabel('Stragglers, exact')).toBeVisible();
  await expect(copy.page.getByLabel('Stragglers, exact')).toHaveValue('7');
  await expect(copy.page.getByLabel('Straggler delay, exact')).toHaveValue('50');
});

for (const width of [360, 390, 768]) {
  test.describe(`by touch on a screen of ${width} pixels`, () => {
    test.use({ viewport: { width, height: 844 }, hasTouch: true, isMobile: true });

    test('the leader is cut off, and a link is slowed down', async ({ playground }) => {
      const { page } = playground;
      const tab = (name) => page.getByRole('group', { name: 'Panels' }).getByRole('button', { name });
      const fits = async () => {
        expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
        expect(await seriousFindings(page)).toEqual([]);
      };
      await tab('Settings').tap();
      await split(playground);
      await picker(playground).getByRole('button', { name: 'The leader' }).tap();
      await expect(cutOff(playground)).toHaveText('Cut 1 off from 4 nodes');
      await fits();
      await cutOff(playground).tap();
      await expect(playground.panel('Cluster')).toContainText(/n\d is cut off from all others/);
      await tab('Inspector').tap();
      const tuner = await tune(playground, 'n1', 'n2');
      // Reached from far below the stage, it is brought into view.
      await expect(link(playground, 'n1', 'n2')).toBeInViewport();
      expect(await playground.panel('Cluster').evaluate((card) => [card.scrollLeft, card.scrollWidth - card.clientWidth])).toEqual([0, 0]);
      await tuner.getByRole('button', { name: 'n1 → n2' }).tap();
      await fits();
      await set(playground, 'Link latency', 600);
      await tab('Log').tap();
      await expect(playground.panel('Event log')).toContainText('link n1 → n2: 300 to 900 ms');
      await expect(playground.panel('Event log')).not.toContainText('link n2 → n1');
    });
  });
}
