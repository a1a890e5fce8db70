import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sqlite3 from 'sqlite3';
import type { Test } from 'tap';

export const fixturesDir = fileURLToPath(new URL('../../../test/store/fixtures/', import.meta.url));

/** A data folder with the database. */
export async function restoreFixture(t: Test, name: string): Promise<string> {
  const dataDir = t.testdir();
  const db = await new Promise<sqlite3.Database>((resolve, reject) => {
    const opened = new sqlite3.Database(join(dataDir, 'hilda.sqlite'), (error) =>
      error ? reject(error) : resolve(opened),
    );
  });
  await new Promise<void>((resolve, reject) => {
    db.exec(readFileSync(join(fixturesDir, name), 'utf8'), (error) => (error ? reject(error) : resolve()));
  });
  await new Promise<void>((resolve, reject) => {
    db.close((error) => (error ? reject(error) : resolve()));
  });
  return dataDir;
}
