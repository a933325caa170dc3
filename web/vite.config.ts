/** How the page is built: static files with relative addresses, for any host and any path. */
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  base: './',
  plugins: [svelte()],
  resolve: { alias: { 'kv-wasm': at('../kv-wasm/pkg/kv_wasm.js') } },
  // The package is built beside this folder, not in it.
  server: { fs: { allow: [at('..')] } },
  worker: { format: 'es' },
  build: { target: 'es2022', assetsInlineLimit: 0, reportCompressedSize: true },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
