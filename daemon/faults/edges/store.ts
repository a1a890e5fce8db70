import { switchboard } from '../present.js';

type Run = <Row>(sql: string, values?: readonly unknown[]) => Promise<Row[]>;

/** Each statement of a transaction is a place, by its text: it is late, or fails with a code of SQLite. */
export function withStatementFaults(run: Run): Run {
  if (!switchboard()) return run;
  return async (sql, values) => {
    // It never fails while there is a transaction, which would stay open for good.
    if (sql !== 'ROLLBACK') await statementFault(sql);
    return run(sql, values);
  };
}

/** Of a statement by its text, or of a reading one: `read`. Throws as the engine does. */
export async function statementFault(sql: string): Promise<void> {
  const board = switchboard();
  const strike = board?.strike('store', sql, ['delay', 'fail']);
  if (!board || !strike) return;
  if (strike.action === 'delay') return board.clock.sleep(strike.ms);
  const code = strike.as ?? 'SQLITE_BUSY';
  throw Object.assign(new Error(`${code}: an injected fault`), { code });
}
