import { stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import knex, { type Knex } from 'knex';
import type { Database as SqliteConnection } from 'sqlite3';
import { HildaError } from '../core/errors.js';
import { withStatementFaults } from '../faults/edges/store.js';
import { Checkpoints, mostLogPages } from './checkpoints.js';
import { mapStoreError } from './map-errors.js';
import { knownMigrations, migrate, migrationsTable } from './migrations/index.js';
import { madeWhole, ownFiles, ownFolder } from './own-folder.js';
import { PreparedStatements } from './prepared-statements.js';

/** What an engine offers the rest of the store; another engine adds another file like this one. */
export interface Engine {
  /** Statements share one connection: within a transaction, all belong to it. The caller runs one thing at a time. */
  readonly db: Knex;
  /** Rows of a statement with `?` for values; faster than through knex where it runs again. */
  all<Row>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

export interface SqliteOptions {
  /** A folder, made when missing, or `:memory:`. */
  readonly dataDir: string;
  /** Most pages of 4 KiB the file may grow to, beyond which writes fail with DISK_FULL; null for no bound. */
  readonly maxPages?: number | null;
  /** Hears of every statement that is sent; benchmarks count them. */
  readonly onStatement?: (sql: string) => void;
  /** Hears of the migrations that are to run, before they do. */
  readonly onMigrate?: (names: readonly string[]) => void;
}

const databaseFile = 'hilda.sqlite';
const lockFile = 'hilda.lock';
const busyTimeoutMs = 5000;
/** All statements wait for the one connection: a long queue is no fault, one that stands still is. */
const acquireTimeoutMs = 600_000;
/** `hild` in ASCII, in the header of the file. */
const applicationId = 0x68696c64;

// Knex publishes no types for its dialects; `Client` is their common base.
const SqliteClient = createRequire(import.meta.url)(
  'knex/lib/dialects/sqlite3/index.js',
) as typeof knex.Client;

interface TransactionInternals {
  begin(connection: unknown): Promise<unknown>;
  query(connection: unknown, sql: string): Promise<unknown>;
}

/** Takes the write lock at BEGIN: a deferred transaction that read first may fail when it turns to writing. */
class ImmediateSqliteClient extends SqliteClient {
  override transaction(container: unknown, config: unknown, outer: unknown): Knex.Transaction {
    const transaction = super.transaction(container, config, outer);
    const internals = transaction as unknown as TransactionInternals;
    internals.begin = (connection) => internals.query(connection, 'BEGIN IMMEDIATE;');
    return transaction;
  }
}

/**
 * Opens the database of a data folder: alone (STORE_BUSY), checked before anything is written to it (STORE_CORRUPT,
 * STORE_NEWER), with its schema brought up to date.
 */
export async function openSqlite({ onStatement, ...options }: SqliteOptions): Promise<Engine> {
  const engine = await openEngine(options);
  if (!onStatement) return engine;
  engine.db.on('query', ({ sql }: { readonly sql: string }) => onStatement(sql));
  return {
    ...engine,
    all: (sql, values) => {
      onStatement(sql);
      return engine.all(sql, values);
    },
  };
}

async function openEngine(options: SqliteOptions): Promise<Engine> {
  const { dataDir } = options;
  if (dataDir === ':memory:') return connect(':memory:', options, async () => {});
  const unlock = await lockFolder(dataDir);
  try {
    const filename = join(dataDir, databaseFile);
    await ownFiles(dataDir, [databaseFile, `${databaseFile}-wal`, `${databaseFile}-shm`, lockFile]);
    await checkUntouched(filename);
    return await connect(filename, options, unlock);
  } catch (thrown) {
    await unlock();
    throw mapStoreError(thrown, `opening ${dataDir}`);
  }
}

/**
 * Holds the folder by an exclusive lock on a side file for the life of the process. The kernel drops it however the
 * process ends, so that nothing stale is left behind, as a file with a process id would be.
 */
async function lockFolder(dataDir: string): Promise<() => Promise<void>> {
  let lock: Knex | undefined;
  try {
    await ownFolder(dataDir);
    lock = openFile(join(dataDir, lockFile));
    await lock.raw('PRAGMA journal_mode = MEMORY');
    await lock.raw('BEGIN EXCLUSIVE');
    return () => lock!.destroy();
  } catch (thrown) {
    await lock?.destroy();
    if ((thrown as { code?: string }).code === 'SQLITE_BUSY') {
      throw new HildaError('STORE_BUSY', `${dataDir} is in use by another daemon`, { cause: thrown });
    }
    throw mapStoreError(thrown, `locking ${dataDir}`);
  }
}

/**
 * Read-only, so that a damaged or newer file keeps every byte for repair. A missing file is made, with its header: an empty one
 * is never ours, and held data once.
 */
async function checkUntouched(filename: string): Promise<void> {
  const found = await stat(filename).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') return null;
    throw thrown;
  });
  if (!found) return madeWhole(filename, writeHeader);
  if (found.size === 0)
    throw new HildaError('STORE_CORRUPT', `${filename} is empty`, {
      hint: 'Restore a backup. If the folder never held data, delete the file.',
    });
  const db = openFile(filename, { readOnly: true });
  try {
    const problems = await db.raw<{ quick_check: string }[]>('PRAGMA quick_check(3)');
    const found = problems.map((row) => row.quick_check).filter((text) => text !== 'ok');
    if (found.length > 0)
      throw new HildaError('STORE_CORRUPT', `${filename} is damaged: ${found.join('; ')}`);
    if (!(await db.schema.hasTable(migrationsTable))) return;
    const applied: string[] = await db(migrationsTable).pluck('name');
    const unknown = applied.filter((name) => !knownMigrations.has(name));
    if (unknown.length > 0)
      throw new HildaError('STORE_NEWER', `${filename} has the unknown migrations ${unknown.join(', ')}`);
  } finally {
    await db.destroy();
  }
}

/** Of an empty file. */
async function writeHeader(filename: string): Promise<void> {
  const db = openFile(filename);
  try {
    await db.raw(`PRAGMA application_id = ${applicationId}`);
  } finally {
    await db.destroy();
  }
}

/** A connection that cannot change the file, beside the daemon that has it. The caller destroys it. */
export async function readDatabase(filename: string): Promise<Knex> {
  return openFile(filename, { readOnly: true, pragmas: [`PRAGMA busy_timeout = ${busyTimeoutMs}`] });
}

async function connect(
  filename: string,
  { maxPages = null, onMigrate }: SqliteOptions,
  unlock: () => Promise<void>,
): Promise<Engine> {
  const db = openFile(filename, {
    pragmas: [
      `PRAGMA busy_timeout = ${busyTimeoutMs}`,
      'PRAGMA journal_mode = WAL',
      'PRAGMA synchronous = FULL',
      `PRAGMA wal_autocheckpoint = ${mostLogPages}`,
      'PRAGMA foreign_keys = ON',
    ],
  });
  try {
    await migrate(db, onMigrate);
    if (maxPages !== null) await db.raw(`PRAGMA max_page_count = ${Math.trunc(maxPages)}`);
  } catch (thrown) {
    await db.destroy();
    throw thrown;
  }
  const prepared = new PreparedStatements(await (db.client as SqliteConnections).acquireConnection());
  const checkpoints = new Checkpoints(() =>
    openFile(filename, { pragmas: [`PRAGMA busy_timeout = ${busyTimeoutMs}`] }),
  );
  const run: Engine['all'] = async <Row>(sql: string, values: readonly unknown[] = []): Promise<Row[]> => {
    const rows = await prepared.all<Row>(sql, values);
    if (sql === 'COMMIT' && filename !== ':memory:')
      await checkpoints.committed((statement) => prepared.all(statement, []));
    return rows;
  };
  return {
    db,
    all: withStatementFaults(run),
    close: async () => {
      await checkpoints.close();
      await prepared.drop();
      await db.destroy();
      await unlock();
    },
  };
}

interface SqliteConnections {
  acquireConnection(): Promise<SqliteConnection>;
}

interface FileOptions {
  readonly readOnly?: boolean;
  /** Run on the connection before its first use. */
  readonly pragmas?: readonly string[];
}

/** One connection, never closed while idle: a lock and an in-memory database live exactly as long as it does. */
function openFile(filename: string, { readOnly = false, pragmas = [] }: FileOptions = {}): Knex {
  let connection: Promise<SqliteConnection> | undefined;
  class Client extends ImmediateSqliteClient {
    // A pool of one would cost each statement a turn of its own.
    override acquireConnection(): Promise<SqliteConnection> {
      connection ??= this.acquireRawConnection();
      return connection;
    }

    override async releaseConnection(): Promise<void> {}

    override async destroy(callback?: () => void): Promise<void> {
      const opened = await connection?.catch(() => undefined);
      if (opened) await this.destroyRawConnection(opened);
      await super.destroy(callback as never);
    }

    override async acquireRawConnection(): Promise<SqliteConnection> {
      // Knex always opens for writing, and creates.
      const driver = (this as unknown as { driver: typeof import('sqlite3') }).driver;
      const fresh = await new Promise<SqliteConnection>((resolve, reject) => {
        const mode = readOnly ? driver.OPEN_READONLY : driver.OPEN_READWRITE | driver.OPEN_CREATE;
        const opened = new driver.Database(filename, mode, (error) =>
          error ? reject(error) : resolve(opened),
        );
      });
      for (const pragma of pragmas) {
        await new Promise<void>((resolve, reject) =>
          fresh.exec(pragma, (error) => (error ? reject(error) : resolve())),
        );
      }
      return fresh;
    }
  }
  return knex({
    client: Client,
    connection: { filename },
    useNullAsDefault: true,
    acquireConnectionTimeout: acquireTimeoutMs,
    pool: { min: 1, max: 1, idleTimeoutMillis: 2 ** 31 - 1 },
  });
}
