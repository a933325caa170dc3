/** The store of a node in the inspector: tables appear as it is written to, and each tells its keys. */
import { expect, test } from './playground.js';

test('memtables become tables, and a table tells its keys', async ({ playground }) => {
  const { page } = playground;
  await page.locator('.node .info').first().click();
  const levels = page.getByRole('list', { name: 'Levels of the store' });
  await expect(levels.getByRole('listitem').filter({ hasText: 'Memtable' })).toContainText('KiB');
  while (await page.locator('.speed output').textContent() !== '64×') await page.keyboard.press('+');
  // A table may hold records of the node alone; one with keys of clients follows.
  const table = levels.getByRole('button', { name: /^Table \d+:.* to .*\(partition/ }).first();
  await expect(table).toBeVisible({ timeout: 60_000 });
  await page.keyboard.press('Space');
  await table.focus();
  await expect(page.getByText(/^Table \d+ .* to /)).toContainText('(partition');
  await expect(page.getByText('Write ampl.').locator('..')).toContainText(/\d×/);
});
