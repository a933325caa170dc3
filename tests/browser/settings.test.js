/** Sliders made from the core's table: a change spreads, and what cannot be is refused in the core's words. */
import { expect, set, test } from './playground.js';

test('a setting changed on one node reaches all', async ({ playground }) => {
  await set(playground, 'Read quorum', 1);
  const log = playground.panel('Event log');
  await expect(log).toContainText('set read_quorum = 1 on n1');
  for (const node of ['n2', 'n3', 'n4', 'n5']) {
    await log.getByLabel('Only events of').selectOption({ label: node });
    await expect(log).toContainText('read_quorum is now 1, set on n1');
  }
  await expect(playground.page.getByLabel('Read quorum, exact')).toHaveValue('1');
});

test('a combination that cannot be is refused, and nothing changes', async ({ playground }) => {
  const box = await set(playground, 'Read quorum', 5);
  await expect(playground.page.getByRole('alert')).toContainText('read_quorum (5) cannot exceed replicas (3)');
  await expect(box).toHaveValue('2');
});

test('the slider itself moves the value', async ({ playground }) => {
  const slider = playground.page.getByRole('slider', { name: 'Write quorum' });
  await slider.focus();
  await slider.press('End');
  await expect(playground.page.getByRole('alert')).toContainText('write_quorum (9) cannot exceed replicas (3)');
  await slider.press('Home');
  await expect(playground.panel('Event log')).toContainText('set write_quorum = 1 on n1');
});

test('a run may have a hundred nodes, and clients as many requests as found runs have', async ({ playground }) => {
  const { page } = playground;
  await set(playground, 'Generated clients', 80);
  const slider = page.getByRole('slider', { name: 'Generated clients' });
  await expect(slider).toHaveValue('160');
  await page.getByText('New run').click();
  await expect(page.getByRole('spinbutton', { name: 'Nodes' })).toHaveAttribute('max', '100');
});

test('every row of the table has its slider or switch', async ({ playground }) => {
  const settings = playground.panel('Settings').locator('[data-setting]');
  const names = await settings.evaluateAll((rows) => rows.map((row) => row.dataset.setting));
  expect(names.slice(0, 2)).toEqual(['latency', 'loss']);
  expect(names).toContain('replicas');
  expect(names).toContain('blocking_read_repair');
  await playground.page.getByRole('switch', { name: 'Blocking read repair' }).click();
  await expect(playground.panel('Event log')).toContainText('set blocking_read_repair = 0 on n1');
});
