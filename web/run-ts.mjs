// Runs a TypeScript program with Vite's own module runner, so that no further tool is needed for it:
// `node run-ts.mjs FILE [ARGUMENTS]`.

import { resolve } from 'node:path';
import { runnerImport } from 'vite';

const [file, ...rest] = process.argv.splice(2);
process.argv.push(...rest);
await runnerImport(resolve(file ?? ''), { configFile: false, logLevel: 'error' });
