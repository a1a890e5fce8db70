import type { Database as SqliteConnection, Statement } from 'sqlite3';

/** So many are kept; lists of each length have a text of their own. */
const most = 400;

/**
 * Statements of one connection, prepared once for each text: preparing takes SQLite as long as running a short one, and knex
 * prepares each time.
 */
export class PreparedStatements {
  readonly #connection: SqliteConnection;
  /** In the order of their last use. */
  readonly #kept = new Map<string, Statement>();

  constructor(connection: SqliteConnection) {
    this.#connection = connection;
  }

  /** The rows that it yields. Statements must not run side by side. */
  async all<Row>(sql: string, values: readonly unknown[]): Promise<Row[]> {
    const statement = this.#kept.get(sql) ?? (await this.#prepare(sql));
    this.#kept.delete(sql);
    this.#kept.set(sql, statement);
    if (this.#kept.size > most) await this.#dropOldest();
    return new Promise((resolve, reject) =>
      statement.all<Row>(values, (error, rows) => (error ? reject(error) : resolve(rows))),
    );
  }

  /** A connection with prepared statements cannot be closed. */
  async drop(): Promise<void> {
    while (this.#kept.size > 0) await this.#dropOldest();
  }

  #prepare(sql: string): Promise<Statement> {
    return new Promise((resolve, reject) => {
      const statement = this.#connection.prepare(sql, (error: Error | null) =>
        error ? reject(error) : resolve(statement),
      );
    });
  }

  async #dropOldest(): Promise<void> {
    for (const [sql, statement] of this.#kept) {
      this.#kept.delete(sql);
      return new Promise((resolve) => statement.finalize(() => resolve()));
    }
  }
}
