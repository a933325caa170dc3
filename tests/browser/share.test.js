/** Links that hold no run: words that say why, and a new run instead. */
import { expect, test } from './playground.js';

const BROKEN = [
  ['cut off', async (address) => address.slice(0, -9)],
  ['of another format', async (address) => address.replace(/#run=../, '#run=_w')],
  ['not a link at all', async (address) => address.replace(/#run=.*/, '#run=hello there')],
  ['empty', async (address) => address.replace(/#run=.*/, '#run=')],
];

for (const [what, spoil] of BROKEN) {
  test(`a link that is ${what} says so and never hangs`, async ({ playground, context, watch }) => {
    const { address } = await playground.share();
    const other = await watch(await context.newPage()).open(await spoil(address));
    const notice = other.page.getByRole('alert').filter({ hasText: 'cannot be opened' });
    await expect(notice).toContainText(/damaged|format/);
    await expect(other.page.getByRole('button', { name: 'Pause' })).toBeVisible();
    await notice.getByRole('button', { name: 'Close' }).click();
    await expect(notice).toBeHidden();
  });
}

test('a link with settings, cuts and crashes in it ends at the same hash', async ({ playground, context, watch }) => {
  await playground.page.getByLabel('Loss, exact').fill('12');
  await playground.page.getByLabel('Loss, exact').press('Enter');
  await playground.clickLink('n2', 'n5');
  await expect(playground.link('n2', 'n5')).toHaveAttribute('data-cut', 'both');
  await playground.disc('n1').click();
  await playground.ask('n4', 'Put', 'a', 'b');
  await playground.disc('n1').click();
  await expect(playground.node('n1')).toHaveAttribute('data-state', /up|suspected/);
  const { address, hash } = await playground.share();
  const copy = await watch(await context.newPage()).open(address);
  await expect(copy.page.getByRole('status').filter({ hasText: 'Reproduced exactly' })).toContainText(hash);
  await expect(copy.link('n2', 'n5')).toHaveAttribute('data-cut', 'both');
  await expect(copy.page.getByLabel('Loss, exact')).toHaveValue('12');
});
