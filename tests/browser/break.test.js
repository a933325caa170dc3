/** Breaking the cluster by touching it: nodes, links, one direction of a link. */
import { expect, test } from './playground.js';

test('a killed node is down, the rest still read, and the share link gives the same run', async ({ playground, context, watch }) => {
  await expect(await playground.ask('n1', 'Put', 'ours', 'kept')).toContainText('written');

  await playground.disc('n3').click();
  await expect(playground.node('n3')).toHaveAttribute('data-state', 'down');
  await expect(playground.node('n3')).toContainText('down');
  await expect(playground.panel('Cluster')).toContainText('n3 has lost power');

  for (const node of ['n1', 'n2', 'n4', 'n5']) {
    const answer = await playground.ask(node, 'Get', 'ours');
    await expect(answer).toHaveAttribute('data-outcome', 'done');
    await expect(answer).toContainText('kept');
    await expect(answer).not.toContainText(/answered by[^,]*(, n\d)*n3/);
  }

  const { address, hash } = await playground.share();
  const copy = await watch(await context.newPage()).open(address);
  await expect(copy.page.getByRole('status').filter({ hasText: 'Reproduced exactly' })).toContainText(hash);
  await expect(copy.node('n3')).toHaveAttribute('data-state', 'down');
  await expect(copy.latest()).toContainText('n5 get ours');
  await expect(copy.latest()).toContainText('kept');
});

test('a killed node comes back with what it had', async ({ playground }) => {
  await playground.page.getByRole('button', { name: 'Kill n3 now' }).click();
  await expect(playground.node('n3')).toHaveAttribute('data-state', 'down');
  await playground.page.getByRole('button', { name: 'Bring n3 back' }).click();
  await expect(playground.node('n3')).toHaveAttribute('data-state', /up|suspected/);
  const log = playground.panel('Event log');
  await expect(log).toContainText('crash n3');
  await expect(log).toContainText(/boot 2, \d+ records read back/);
});

test('the others come to suspect a node that stays down', async ({ playground }) => {
  await playground.disc('n2').click();
  await expect(playground.panel('Event log')).toContainText(/n2 is suspected: no heartbeat for \d+ ms/, { timeout: 60_000 });
  await expect(playground.panel('Cluster')).toContainText('suspect it', { timeout: 60_000 });
});

test('a link is cut and mended by clicking, one way from its menu', async ({ playground }) => {
  const link = playground.link('n1', 'n2');
  await playground.clickLink('n1', 'n2');
  await expect(link).toHaveAttribute('data-cut', 'both');
  await playground.clickLink('n1', 'n2');
  await expect(link).toHaveAttribute('data-cut', 'none');
  await playground.page.getByRole('button', { name: 'Cut only from n1 to n2' }).click();
  await expect(link).toHaveAttribute('data-cut', '0>1');
  await expect(link).toHaveAttribute('aria-label', /cut from n1 to n2 only/);
  await playground.page.getByRole('button', { name: 'Heal the network' }).click();
  await expect(link).toHaveAttribute('data-cut', 'none');
  await expect(playground.panel('Event log')).toContainText('heal the network');
});

test('an action shows at once while paused', async ({ playground }) => {
  await playground.page.getByRole('button', { name: 'Pause' }).click();
  await playground.disc('n4').click();
  await expect(playground.node('n4')).toHaveAttribute('data-state', 'down');
  const clock = playground.page.getByLabel('Simulated time');
  const before = await clock.textContent();
  await playground.page.getByRole('button', { name: 'Step' }).click();
  await playground.page.getByRole('button', { name: 'Step' }).click();
  await expect(clock).not.toHaveText(before);
});

test('the replicas of a key are shown, with what each holds', async ({ playground }) => {
  await playground.ask('n2', 'Put', 'found', 'here');
  const placed = playground.panel('Clients').locator('.placed');
  await expect(placed).toContainText(/found is in partition \d+, on n\d, n\d, n\d/);
  await expect(placed.getByRole('listitem').filter({ hasText: /here \[n\d:\d+\]/ })).toHaveCount(3);
  await expect(playground.page.locator('.node.replica')).toHaveCount(3);
});

test('a node is stopped and goes on, and one that lost its disk starts anew', async ({ playground }) => {
  const inspector = playground.panel('Inspector');
  await inspector.getByRole('combobox', { name: 'Node to inspect' }).selectOption('n2');
  await inspector.getByRole('button', { name: 'Suspend n2' }).click();
  await expect(playground.node('n2')).toHaveAttribute('data-state', 'paused');
  await inspector.getByRole('button', { name: 'Resume n2' }).click();
  await expect(playground.node('n2')).toHaveAttribute('data-state', /up|suspected/);

  await inspector.getByRole('button', { name: 'Wipe n2' }).click();
  await expect(playground.node('n2')).toHaveAttribute('data-state', 'down');
  await expect(playground.panel('Cluster')).toContainText('n2 has lost its disk');
  await expect(inspector).toContainText('it is a new node of the same name');
  await inspector.getByRole('button', { name: 'Restart n2' }).click();
  await expect(playground.node('n2')).toHaveAttribute('data-state', /up|suspected/);
});
