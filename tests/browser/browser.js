/**
 * The browser and the page under test: an installed Chromium, and a static server for the built page.
 *
 * `KV_CHROMIUM` names the browser and `KV_PAGE` the folder of the built page. Playwright's own browsers
 * are never downloaded. The server knows nothing of the page, as any static host.
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

export const CHROMIUM = process.env.KV_CHROMIUM ?? '/usr/bin/chromium';
export const PAGE = process.env.KV_PAGE ?? fileURLToPath(new URL('../../web/dist', import.meta.url));

/** How the browser is started: no display, no sandbox in containers, and no calls home. */
export const LAUNCH = {
  executablePath: CHROMIUM,
  args: [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
};

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
};

/**
 * Serves the built page below a path of its own, as a host with many pages would.
 * @returns {Promise<{ url: string, close: () => void }>}
 */
export async function servePage() {
  const base = '/some/path/';
  await stat(join(PAGE, 'index.html')).catch(() => {
    throw new Error(`there is no built page in ${PAGE}; run \`npm run build\` in web first`);
  });
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://page').pathname);
    const file = join(PAGE, normalize(path.slice(base.length)) || '.');
    const wanted = path.endsWith('/') ? join(file, 'index.html') : file;
    const found = path.startsWith(base) && wanted.startsWith(PAGE) && (await stat(wanted).catch(() => null))?.isFile();
    if (!found) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': TYPES[extname(wanted)] ?? 'application/octet-stream' });
    createReadStream(wanted).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  return { url: `http://127.0.0.1:${port}${base}`, close: () => server.close() };
}
