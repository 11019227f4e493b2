// A reporter that says at the very end what failed and why, a line each: of a long log the end is what
// is kept and read first.

import type { Reporter, TestModule } from 'vitest/node';

/** Of an error's message; the rest stands further up. */
const LENGTH_MAX = 300;

export default class LastWords implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      for (const test of module.children.allTests('failed')) {
        const why = test.result().errors?.map(({ message }) => message.replace(/\s+/g, ' '));
        console.error(`FAILED ${test.fullName}: ${why?.join('; ').slice(0, LENGTH_MAX)}`);
      }
    }
  }
}
