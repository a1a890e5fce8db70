import type { Test } from 'tap';
import type { ContractCase } from '../../daemon/testing/contract-case.js';

/** Each promise as a test of its own. */
export async function holds(t: Test, cases: readonly ContractCase[]): Promise<void> {
  await Promise.all(
    cases.map(({ name, run }) =>
      t.test(name, async (t) => {
        await run();
        t.pass('it holds');
      }),
    ),
  );
}
