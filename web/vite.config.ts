// The build: four pages (lobby, watch, embed, console) and the stable scripts of
// player and comments, all into `dist/`, which the edge embeds. And the two test projects: pure units,
// and real Chromium against a real server.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** An edge to develop against: `EDGE=http://127.0.0.1:8080 npx vite`. */
const edge = process.env.EDGE ?? 'http://127.0.0.1:8080';

/** Puts a gzipped twin beside each text file, so that the edge compresses nothing per viewer. */
function precompress(): Plugin {
  return {
    name: 'precompress',
    apply: 'build',
    async writeBundle({ dir = here('dist') }) {
      const files = await readdir(dir, { recursive: true });
      for (const file of files.filter((name) => /\.(html|js|css|svg)$/.test(name))) {
        const path = join(dir, file);
        await writeFile(`${path}.gz`, gzipSync(await readFile(path), { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  appType: 'mpa',
  plugins: [precompress()],
  build: {
    target: 'es2022',
    // dash.js is one chunk of about 800 kB, loaded only by those who need it.
    chunkSizeWarningLimit: 1024,
    // Preload links are written with the page's origin, which is wrong where `player.js` is used on
    // another site; plain relative imports are right everywhere.
    modulePreload: false,
    rollupOptions: {
      input: {
        index: here('index.html'),
        watch: here('watch.html'),
        embed: here('embed.html'),
        console: here('console.html'),
        player: here('src/player.ts'),
        comments: here('src/comments.ts'),
      },
      // An entry's exports must survive although no page of ours imports them.
      preserveEntrySignatures: 'strict',
      output: {
        entryFileNames: (chunk) =>
          /^(player|comments)$/.test(chunk.name) ? '[name].js' : 'assets/[name]-[hash].js',
        // What the console shares with the player stays in the pieces that the player has anyhow: split
        // further, a viewer would ask for twice as many files of the same size in all.
        codeSplitting: {
          groups: [
            {
              name: 'texts',
              test: /preload-helper|node_modules\/(@?lit|lit-html|lit-element)\/(?!.*(?:repeat|live|unsafe))|web\/src\/(texts\/|icons\.ts|colours\.ts)/,
            },
            {
              name: 'lectern-player',
              test: /web\/src\/lectern-player\.ts|media-chrome\/.*i18n|lang\/en/,
            },
          ],
        },
      },
    },
  },
  server: {
    proxy: Object.fromEntries(['/live', '/whep', '/time'].map((path) => [path, edge])),
  },
  test: {
    // What failed, said last.
    reporters: ['default', here('test/last-words.ts')],
    projects: [
      { test: { name: 'unit', root: here('.'), include: ['test/**/*.test.ts'] } },
      {
        // The tests live beside the Rust ones and use this package's modules.
        resolve: {
          alias: [{ find: /^vitest$/, replacement: here('node_modules/vitest/dist/index.js') }],
        },
        test: {
          name: 'browser',
          root: here('../tests/browser'),
          include: ['**/*.test.ts'],
          // One Chromium and one server at a time: media on a busy machine proves nothing.
          fileParallelism: false,
          testTimeout: 90_000,
          hookTimeout: 90_000,
          // What comes by itself comes when the machine gets to it: a deadline, and no measurement.
          expect: { poll: { timeout: 10_000 } },
          // A list that should be empty is shown, not counted.
          chaiConfig: { truncateThreshold: 400 },
        },
      },
    ],
  },
});
