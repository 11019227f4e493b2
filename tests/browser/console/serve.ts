// Serves the console over the fake API to look at it by hand: `cd web && npx vite build && node run-ts.mjs
// ../tests/browser/console/serve.ts [PORT]`, then sign in as `ada`.

import { Fake, PASSWORD } from './fake.ts';
import { furnish } from './fixtures.ts';

const fake = await new Fake({ oidc: 'University' }).start(Number(process.argv[2] ?? 8099));
furnish(fake);
setInterval(() => {
  for (const id of fake.lives.keys()) fake.tellLive(id);
}, 1_000);
console.log(`${fake.url}/console  (ada, ${PASSWORD})`);
