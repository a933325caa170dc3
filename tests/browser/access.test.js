/** For everyone: keyboard alone, both themes, a phone, less motion, and no serious finding of axe. */
import { expect, seriousFindings, set, test } from './playground.js';

test('a node is crashed and restarted by keyboard alone', async ({ playground }) => {
  const { keyboard } = playground.page;
  await keyboard.press('3');
  await expect(playground.disc('n3')).toBeFocused();
  await keyboard.press('Enter');
  await expect(playground.node('n3')).toHaveAttribute('data-state', 'down');
  await keyboard.press('Space');
  await expect(playground.node('n3')).toHaveAttribute('data-state', /up|suspected/);
  // The rest of the stage follows in the order of the tab key: the inspector's button, then the next node.
  await keyboard.press('Tab');
  await keyboard.press('Tab');
  await expect(playground.disc('n4')).toBeFocused();
});

test('shortcuts play, pause, step, change the speed and help', async ({ playground }) => {
  const { page } = playground;
  await page.keyboard.press('Space');
  await expect(page.getByRole('button', { name: 'Play' })).toBeVisible();
  await page.keyboard.press('+');
  await expect(page.locator('.speed output')).toHaveText('2×');
  const clock = page.getByLabel('Simulated time');
  const before = await clock.textContent();
  await page.keyboard.press('.');
  await page.keyboard.press('.');
  await expect(clock).not.toHaveText(before);
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog')).toContainText('What this is');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toBeHidden();
});

test('after a click Space plays and pauses, and does not click again', async ({ playground }) => {
  const { page } = playground;
  const log = playground.panel('Event log');
  const jump = page.getByRole('group', { name: 'Clock of n1' }).getByRole('button', { name: '+1 h' });
  const jumps = log.getByText('set the time of n1 ahead by 1 h');
  await jump.click();
  await expect(jumps).toHaveCount(1);
  await page.keyboard.press('Space');
  await expect(page.getByRole('button', { name: 'Play' })).toBeVisible();
  await playground.disc('n4').click();
  await expect(playground.node('n4')).toHaveAttribute('data-state', 'down');
  await page.keyboard.press('Space');
  await expect(page.getByRole('button', { name: 'Pause' })).toBeVisible();
  await expect(playground.node('n4')).toHaveAttribute('data-state', 'down');
  await expect(jumps).toHaveCount(1);
  // Whoever comes by keyboard presses it.
  await playground.disc('n4').focus();
  await jump.click();
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await expect(jumps).toHaveCount(3);
  await expect(page.getByRole('button', { name: 'Pause' })).toBeVisible();
  // In a text it is a space.
  const value = page.getByRole('textbox', { name: 'Value' });
  await value.click();
  await value.press('End');
  await page.keyboard.press('Space');
  await expect(value).toHaveValue('hello ');
});

test('Escape closes what is open, and a click beside it the menu', async ({ playground }) => {
  const { page } = playground;
  const menu = page.getByRole('button', { name: 'Start' });
  await page.getByText('New run').click();
  await page.getByRole('spinbutton', { name: 'Nodes' }).focus();
  await page.keyboard.press('Escape');
  await expect(menu).toBeHidden();
  await expect(page.getByText('New run')).toBeFocused();
  await page.getByText('New run').click();
  await expect(menu).toBeVisible();
  await page.getByRole('heading', { name: 'Clients' }).click();
  await expect(menu).toBeHidden();

  const hunt = page.getByRole('button', { name: 'Break it for me' });
  await hunt.click();
  await page.getByRole('button', { name: 'Search', exact: true }).focus();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('button', { name: 'Search', exact: true })).toBeHidden();
  await expect(hunt).toBeFocused();
  await page.locator('.chip').first().click();
  const told = page.getByRole('group', { name: 'Verdict in full' });
  await expect(told).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(told).toBeHidden();
});

for (const [width, height] of [[1100, 760], [1024, 768], [768, 1024]]) {
  test(`settings can be reached and set at ${width} by ${height}`, async ({ playground }) => {
    const { page } = playground;
    await page.setViewportSize({ width, height });
    await page.getByRole('group', { name: 'Panels' }).getByRole('button', { name: 'Settings' }).click();
    expect((await playground.panel('Settings').boundingBox()).height).toBeGreaterThan(400);
    await set(playground, 'Loss', 5);
    await page.getByRole('group', { name: 'Panels' }).getByRole('button', { name: 'Log' }).click();
    await expect(playground.panel('Event log')).toContainText('50 of 1000 lost');
    expect(await seriousFindings(page)).toEqual([]);
  });
}

for (const [width, height] of [[1280, 820], [1024, 768], [390, 844]]) {
  test.describe(`on a screen of ${width} pixels`, () => {
    test.use({ viewport: { width, height } });

    test('help opens at its beginning', async ({ playground }) => {
      const { page } = playground;
      await page.getByRole('button', { name: 'Help' }).click();
      const help = page.getByRole('dialog');
      await expect(help).toBeVisible();
      expect(await help.evaluate((dialog) => dialog.scrollTop)).toBe(0);
      await expect(help.getByRole('heading')).toBeInViewport();
      await page.keyboard.press('Escape');
      await expect(help).toBeHidden();
    });

    test('passing words hide nothing that one needs', async ({ playground }) => {
      const { page } = playground;
      await page.getByRole('button', { name: /under way$/ }).click();
      await page.evaluate(() => scrollTo(0, 0));
      await page.getByRole('button', { name: 'Share' }).click();
      const toast = page.locator('.toast');
      await expect(toast).toContainText('Link copied');
      await expect(toast).toHaveCSS('opacity', '1');
      const box = await toast.boundingBox();
      expect(box.width).toBeGreaterThan(Math.min(300, 0.8 * width));
      expect(box.x + box.width).toBeLessThanOrEqual(width);
      // On a phone what stands below the stage may be anywhere, and can be scrolled.
      const below = width > 760 ? ['.foot'] : [];
      for (const what of ['.strip', '.story', 'nav', '.bar .row', ...below]) {
        const other = await page.locator(what).boundingBox();
        const apart = box.y + box.height <= other.y || other.y + other.height <= box.y
          || box.x + box.width <= other.x || other.x + other.width <= box.x;
        expect(apart, `the words lie on ${what}`).toBe(true);
      }
    });
  });
}

test('a link is cut by keyboard', async ({ playground }) => {
  await playground.link('n1', 'n3').focus();
  await playground.page.keyboard.press('Shift+Enter');
  await expect(playground.link('n1', 'n3')).toHaveAttribute('data-cut', '0>2');
  await playground.page.keyboard.press('Enter');
  await expect(playground.link('n1', 'n3')).toHaveAttribute('data-cut', 'none');
});

for (const colorScheme of ['light', 'dark']) {
  test.describe(`${colorScheme} theme`, () => {
    test.use({ colorScheme });

    test('has no serious finding of axe', async ({ playground }) => {
      await playground.disc('n3').click();
      await playground.ask('n1', 'Put', 'k', 'v');
      expect(await seriousFindings(playground.page)).toEqual([]);
    });

    test('can be switched, and stays so', async ({ playground }) => {
      const ground = () => playground.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const before = await ground();
      await playground.page.getByRole('button', { name: 'Switch between light and dark' }).click();
      const after = await ground();
      expect(after).not.toBe(before);
      await playground.page.reload();
      expect(await ground()).toBe(after);
    });
  });
}

for (const width of [360, 390, 768, 1440]) {
  test(`nothing is wider than a screen of ${width} pixels`, async ({ playground }) => {
    await playground.page.setViewportSize({ width, height: 780 });
    await expect(playground.node('n1')).toBeVisible();
    const overflow = () => playground.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(await overflow()).toBe(0);
    for (const tab of await playground.page.locator('.tabs button:visible').all()) {
      await tab.click();
      expect(await overflow()).toBe(0);
    }
  });
}

test.describe('on a phone', () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });

  test('a node is killed by touch and inspected in a tab', async ({ playground }) => {
    await playground.disc('n4').tap();
    await expect(playground.node('n4')).toHaveAttribute('data-state', 'down');
    await playground.node('n2').locator('.info').tap();
    await expect(playground.panel('Inspector')).toContainText('Durable to');
    expect(await seriousFindings(playground.page)).toEqual([]);
  });
});

test.describe('with less motion', () => {
  test.use({ contextOptions: { reducedMotion: 'reduce' } });

  test('messages show as still chords and everything else works', async ({ playground }) => {
    await playground.disc('n5').click();
    await expect(playground.node('n5')).toHaveAttribute('data-state', 'down');
    await expect(await playground.ask('n1', 'Put', 'k', 'v')).toContainText('written');
  });
});
