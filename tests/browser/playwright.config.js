/** How the browser tests run: one Chromium, one test after the other, on however slow a machine. */
import { defineConfig } from '@playwright/test';
import { LAUNCH } from './browser.js';

export default defineConfig({
  testMatch: '*.test.js',
  outputDir: 'results',
  timeout: 90_000,
  expect: { timeout: 30_000 },
  workers: 1,
  reporter: 'list',
  use: {
    launchOptions: LAUNCH,
    permissions: ['clipboard-read', 'clipboard-write'],
    viewport: { width: 1280, height: 820 },
    screenshot: 'only-on-failure',
  },
});
