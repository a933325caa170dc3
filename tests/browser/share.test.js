/** Links that hold no run or another one than they promise: words that say why, and what to do. */
import { crc32 } from 'node:zlib';
import { expect, test } from './playground.js';

const BROKEN = [
  ['cut off', async (address) => address.slice(0, -9)],
  ['of another format', async (address) => address.replace(/#run=../, '#run=Ag')],
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

/** The same link with something changed in its bytes, and a checksum that says nothing of it. */
function forged(address, change) {
  const [page, text] = address.split('#run=');
  const bytes = [...Buffer.from(text, 'base64url').subarray(0, -4)];
  change(bytes);
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(crc32(Buffer.from(bytes)));
  return `${page}#run=${Buffer.concat([Buffer.from(bytes), sum]).toString('base64url')}`;
}

/** Where the last number in the bytes begins: of each number all bytes but the last one have their highest bit. */
function lastNumber(bytes) {
  let at = bytes.length - 1;
  while (bytes[at - 1] >= 0x80) at -= 1;
  return at;
}

/** Format, length of the build's name, the name, …, how many events, the hash. */
const changes = {
  build: (bytes) => { bytes[2] = bytes[2] === 0x61 ? 0x62 : 0x61; },
  hash: (bytes) => { bytes[lastNumber(bytes)] ^= 1; },
  events: (bytes) => {
    const hash = bytes.splice(lastNumber(bytes));
    bytes.splice(lastNumber(bytes), Infinity, 1, ...hash);
  },
};

const FORGED = [
  ['of another build that does the same', ['build'], 'status', /Reproduced exactly.*Core build \w+ made it; this one, \w+, does the same/],
  ['of another build that goes another way', ['build', 'hash'], 'alert', /Not the same run.*Core build \w+ made it, and this one, \w+, goes another way\. Open it with the release that made it/],
  ['of another build that cannot be played', ['build', 'events'], 'alert', /cannot be played: .*Core build \w+ made it, this one is \w+\. Open it with the release that made it/],
  ['of this build that promises another hash', ['hash'], 'alert', /Not the same run.*This very build made it, so either the link was changed on its way or this is a bug in kv/],
  ['of this build that promises fewer events', ['events'], 'alert', /cannot be played: the run has more events up to its actions than it says\. This very build made it/],
];

for (const [what, spoilt, role, words] of FORGED) {
  test(`a link ${what} says so, and what to do`, async ({ playground, context, watch }) => {
    await playground.disc('n1').click();
    await expect(playground.node('n1')).toHaveAttribute('data-state', 'down');
    const { address } = await playground.share();
    const other = await watch(await context.newPage()).open(forged(address, (bytes) => spoilt.forEach((change) => changes[change](bytes))));
    const notice = other.page.getByRole(role).filter({ hasText: words });
    await expect(notice).toBeVisible();
    if (!spoilt.includes('build')) await expect(notice).not.toContainText('release');
    // Where nothing could be played, a new run is.
    if (spoilt.includes('events')) await expect(other.page.getByRole('button', { name: 'Pause' })).toBeVisible();
    await notice.getByRole('button', { name: 'Close' }).click();
    await expect(notice).toBeHidden();
  });
}

test('a link of another build that was cut off at the end is damaged, and no fault of the build', async ({ playground, context, watch }) => {
  const { address } = await playground.share();
  const other = await watch(await context.newPage()).open(forged(address, changes.build).slice(0, -3));
  const notice = other.page.getByRole('alert').filter({ hasText: 'cannot be opened' });
  await expect(notice).toContainText('the link is damaged or not complete; copy it again, to its very end. A new run was started instead.');
  await expect(notice).not.toContainText('build');
});
