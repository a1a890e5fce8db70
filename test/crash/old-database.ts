import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sqlite3 from 'sqlite3';

const fixtures = fileURLToPath(new URL('../../../test/store/fixtures/', import.meta.url));

/** Makes a data folder whose database is one that a released version wrote. */
export async function oldDatabase(dataDir: string, name: string): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const db = await new Promise<sqlite3.Database>((resolve, reject) => {
    const opened = new sqlite3.Database(join(dataDir, 'hilda.sqlite'), (error) =>
      error ? reject(error) : resolve(opened),
    );
  });
  await new Promise<void>((resolve, reject) => {
    db.exec(readFileSync(join(fixtures, name), 'utf8'), (error) => (error ? reject(error) : resolve()));
  });
  await new Promise<void>((resolve, reject) => db.close((error) => (error ? reject(error) : resolve())));
}
