/** Faults of one message, one clock, one disk, and of the whole network: each is told, shared, and reached without a mouse. */
import { expect, seriousFindings, set, test } from './playground.js';

const picker = (playground) => playground.page.getByRole('group', { name: 'Message under way' });
const list = (playground) => picker(playground).getByRole('combobox', { name: 'Message' });

/** The text of the message that is picked. */
const picked = (playground) => list(playground).evaluate((select) => select.selectedOptions[0].textContent);

/** How long it still takes, in ms. */
async function left(playground) {
  const [, number, unit] = /there in ([\d.]+) (µs|ms|s)$/.exec(await picked(playground));
  return Number(number) * { µs: 0.001, ms: 1, s: 1_000 }[unit];
}

/** A point of the screen with a message's dot at it, or one in the middle of a link without any. */
function find(playground, what) {
  return playground.page.locator('.stage').evaluate((stage, wanted) => {
    const isOnMessage = (x, y) => {
      const target = document.elementFromPoint(x, y);
      if (target === null || !stage.contains(target)) return null;
      target.dispatchEvent(new PointerEvent('pointermove', { clientX: x, clientY: y, bubbles: true }));
      return stage.classList.contains('on-message');
    };
    if (wanted === 'link') {
      for (const link of stage.querySelectorAll('.link')) {
        const { x, y, width, height } = link.querySelector('.hit').getBoundingClientRect();
        const middle = { x: x + width / 2, y: y + height / 2 };
        const isTop = document.elementFromPoint(middle.x, middle.y)?.closest('.link') === link;
        if (isTop && isOnMessage(middle.x, middle.y) === false) return { ...middle, link: link.dataset.link };
      }
      return null;
    }
    const box = stage.getBoundingClientRect();
    for (let y = box.top; y < box.bottom; y += 4) {
      for (let x = box.left; x < box.right; x += 4) if (isOnMessage(x, y)) return { x, y };
    }
    return null;
  }, what);
}

test('a message is picked, lost and held up by keyboard alone, and the link tells', async ({ playground, context, watch }) => {
  const { page } = playground;
  const log = playground.panel('Event log');
  await page.keyboard.press('m');
  await expect(list(playground)).toBeFocused();
  await expect(page.getByRole('button', { name: 'Play' })).toBeVisible();
  const first = await list(playground).inputValue();
  await page.keyboard.press('ArrowDown');
  await expect(list(playground)).not.toHaveValue(first);
  const held = await list(playground).inputValue();
  const before = await left(playground);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await expect(log).toContainText(`hold message ${held} up by 500 ms`);
  await expect.poll(async () => Math.abs(await left(playground) - before - 500)).toBeLessThanOrEqual(60);
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Enter');
  await expect(log).toContainText(`lose message ${held}`);
  expect(await picked(playground)).toMatch(/^n\d → n\d .*, lost$/);
  await expect(picker(playground).getByRole('button', { name: 'Lose it' })).toBeDisabled();

  const { address, hash } = await playground.share();
  const copy = await watch(await context.newPage()).open(address);
  await expect(copy.page.getByRole('status').filter({ hasText: 'Reproduced exactly' })).toContainText(hash);
  await expect(copy.panel('Event log')).toContainText(`lose message ${held}`);
});

test('a click takes the message it hits, and else the link below', async ({ playground }) => {
  const { page } = playground;
  await playground.pause();
  const empty = await find(playground, 'link');
  await page.mouse.click(empty.x, empty.y);
  await expect(page.locator(`[data-link="${empty.link}"]`)).toHaveAttribute('data-cut', 'both');
  await expect(picker(playground)).toBeHidden();

  const dot = await find(playground, 'message');
  await page.mouse.move(dot.x, dot.y);
  await page.mouse.click(dot.x, dot.y);
  await expect(picker(playground)).toBeVisible();
  await picker(playground).getByRole('button', { name: 'Let go of the message' }).click();
  await expect(page.locator('.link.cut')).toHaveCount(1);
  await expect(picker(playground)).toBeHidden();
});

test('a message that is not touched arrives, and is let go of', async ({ playground }) => {
  await playground.page.getByRole('button', { name: /under way$/ }).click();
  await expect(picker(playground)).toBeVisible();
  await playground.page.getByRole('button', { name: 'Play' }).click();
  await expect(picker(playground)).toBeHidden();
});

test('clocks run wrong and are set, and the link tells', async ({ playground, context, watch }) => {
  await playground.page.keyboard.press('3');
  const clock = playground.page.getByRole('group', { name: 'Clock of n3' });
  const log = playground.panel('Event log');
  const right = clock.getByRole('button', { name: 'Right' });
  await expect(right).toHaveAttribute('aria-pressed', 'true');
  for (const [button, words] of [
    ['Fast', 'let the clock of n3 run 10 % too fast'],
    ['Slow', 'let the clock of n3 run 10 % too slow'],
  ]) {
    await clock.getByRole('button', { name: button }).focus();
    await playground.page.keyboard.press('Enter');
    await expect(log).toContainText(words);
    await expect(clock.getByRole('button', { name: button })).toHaveAttribute('aria-pressed', 'true');
    await expect(right).toHaveAttribute('aria-pressed', 'false');
  }
  await clock.getByRole('button', { name: '+1 h' }).click();
  await expect(clock).toContainText('1 h ahead');
  for (let i = 0; i < 3; i += 1) await clock.getByRole('button', { name: '−1 h' }).click();
  await expect(clock).toContainText('2 h back');
  await expect(log).toContainText('set the time of n3 back by 1 h');

  const { address, hash } = await playground.share();
  const copy = await watch(await context.newPage()).open(address);
  await expect(copy.page.getByRole('status').filter({ hasText: 'Reproduced exactly' })).toContainText(hash);
  await copy.page.keyboard.press('3');
  await expect(copy.page.getByRole('group', { name: 'Clock of n3' })).toContainText('2 h back');
});

test('disks are slow, full, and fail', async ({ playground }) => {
  await playground.page.keyboard.press('3');
  const disk = playground.page.getByRole('group', { name: 'Disk of n3' });
  const log = playground.panel('Event log');
  const press = (name) => disk.getByRole('button', { name, exact: true }).click();
  // Only a node with a table can misread one; at this speed the first comes soon.
  const speed = playground.page.locator('.speed output');
  while (await speed.textContent() !== '64×') await playground.page.keyboard.press('+');
  const levels = playground.page.getByRole('list', { name: 'Levels of the store' });
  await expect(levels.getByRole('button', { name: /^Table \d+:/ }).first()).toBeVisible({ timeout: 60_000 });
  while (await speed.textContent() !== '1×') await playground.page.keyboard.press('-');
  await press('Slow');
  await expect(log).toContainText('let each sync of n3 take 250 ms');
  await expect(disk.getByRole('button', { name: 'Slow' })).toHaveAttribute('aria-pressed', 'true');
  await press('Full');
  await expect(log).toContainText('fill the disk of n3 up to 0 bytes');
  await expect(disk.getByRole('button', { name: 'Full' })).toHaveAttribute('aria-pressed', 'true');
  await press('Sound');
  await expect(log).toContainText('free the disk of n3');
  await expect(log).toContainText('let each sync of n3 take 8 ms');
  for (const name of ['Slow', 'Full']) await expect(disk.getByRole('button', { name })).toHaveAttribute('aria-pressed', 'false');
  await press('Misread');
  await expect(log).toContainText('let n3 read a table at the wrong place once');
  await press('Fail sync');
  await expect(log).toContainText('fail the next sync of n3');
  await expect(playground.node('n3')).toHaveAttribute('data-state', /halted|down/);
});

test('a bit of a file turns over, also while its node is down, and the link tells', async ({ playground, context, watch }) => {
  const { page } = playground;
  await page.keyboard.press('3');
  const files = page.getByRole('group', { name: 'Files of n3' });
  const flip = files.getByRole('button', { name: 'Flip a bit' });
  const flips = (where) => where.panel('Event log').getByText(/^flip bit [0-7] of byte \d+ in log segment 1 of n3$/);
  const file = files.getByRole('combobox', { name: 'File of n3' });
  const segment = await file.getByRole('option', { name: /^log segment 1, [\d.]+ KiB$/ }).getAttribute('value');
  await file.selectOption(segment);
  await flip.focus();
  await page.keyboard.press('Enter');
  await expect(flips(playground)).toHaveCount(1);
  await playground.disc('n3').click();
  await expect(playground.node('n3')).toHaveAttribute('data-state', 'down');
  await flip.click();
  await expect(flips(playground)).toHaveCount(2);

  const { address, hash } = await playground.share();
  const copy = await watch(await context.newPage()).open(address);
  await expect(copy.page.getByRole('status').filter({ hasText: 'Reproduced exactly' })).toContainText(hash);
  await expect(flips(copy)).toHaveCount(2);

  // A disk that is gone has no files.
  await page.getByRole('button', { name: 'Wipe n3' }).click();
  await expect(files).toBeHidden();
});

test('a node whose log has rotted does not start, says why, and begins anew with an empty disk', async ({ playground }) => {
  const { page } = playground;
  const inspector = playground.panel('Inspector');
  await page.keyboard.press('3');
  const files = page.getByRole('group', { name: 'Files of n3' });
  const file = files.getByRole('combobox', { name: 'File of n3' });
  await playground.disc('n3').click();
  await expect(playground.node('n3')).toHaveAttribute('data-state', 'down');
  await file.selectOption(await file.getByRole('option', { name: /^log segment 1, / }).getAttribute('value'));
  // A bit behind what was promised would pass for a torn end.
  for (let i = 1; i <= 12; i += 1) {
    await files.getByRole('button', { name: 'Flip a bit' }).click();
    await expect(playground.panel('Event log').getByText(/^flip bit/)).toHaveCount(i);
  }
  await inspector.getByRole('button', { name: 'Restart n3' }).click();
  await expect(playground.node('n3')).toContainText('damaged');
  await expect(playground.panel('Cluster')).toContainText('n3 cannot start, for its disk is damaged');
  await expect(inspector).toContainText(/n3 cannot start from its disk: .*log/);
  await page.getByRole('button', { name: 'Empty its disk, restart' }).click();
  await expect(playground.node('n3')).toHaveAttribute('data-state', /up|suspected/);
});

test('the network repeats and reorders messages, and goes on so in a copy', async ({ playground, context, watch }) => {
  const log = playground.panel('Event log');
  await playground.page.getByText('Twice, out of order, far too late').click();
  for (const [label, words] of [['Duplication', '70 of 1000 twice'], ['Reordering', '70 of 1000 out of order']]) {
    const box = await set(playground, label, 7);
    await expect(log).toContainText(words);
    await expect(box).toHaveValue('7');
  }
  const { address, hash } = await playground.share();
  const copy = await watch(await context.newPage()).open(address);
  await expect(copy.page.getByRole('status').filter({ hasText: 'Reproduced exactly' })).toContainText(hash);
  await expect(copy.page.getByLabel('Duplication, exact')).toHaveValue('7');
});

test.describe('on a phone', () => {
  test.use({ viewport: { width: 360, height: 760 }, hasTouch: true, isMobile: true });

  test('messages and clocks go wrong by touch', async ({ playground }) => {
    const { page } = playground;
    await page.getByRole('button', { name: /under way$/ }).tap();
    await picker(playground).getByRole('button', { name: 'Lose it' }).tap();
    await expect.poll(() => picked(playground)).toMatch(/, lost$/);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
    expect(await seriousFindings(page)).toEqual([]);
    await page.getByRole('group', { name: 'Panels' }).getByRole('button', { name: 'Inspector' }).tap();
    const fast = page.getByRole('group', { name: 'Clock of n1' }).getByRole('button', { name: 'Fast' });
    await fast.tap();
    await expect(fast).toHaveAttribute('aria-pressed', 'true');
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
    expect(await seriousFindings(page)).toEqual([]);
  });
});
