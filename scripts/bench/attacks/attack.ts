import type { AttackedDaemon } from './attacked-daemon.js';

/** What became of an attack: the code that refused it, or null where it had its way, with what was seen. */
export interface Outcome {
  readonly code: string | null;
  readonly note?: string;
}

/** One row of the table. */
export interface Attack {
  /** The kind of fault that it tries. */
  readonly kind: string;
  readonly name: string;
  /** Runs against a daemon of its own, which may be lost. */
  run(daemon: AttackedDaemon, prepared: Uint8Array): Promise<Outcome>;
  /** Makes what is sent, before the daemon is watched: making it may hold this process up. */
  prepare?(): Uint8Array;
  /** It ends the daemon: nothing is asked of it afterwards. */
  readonly ends?: boolean;
  /** Options of `hilda up`, beside port and data. */
  readonly options?: readonly string[];
}

/** The answer of a request as an outcome: refused where it is no success and no defect. */
export async function refusalOf(response: Response): Promise<Outcome> {
  const body = (await response.json().catch(() => null)) as { code?: unknown; detail?: unknown } | null;
  const code = typeof body?.code === 'string' ? body.code : String(response.status);
  const refused = response.status >= 400 && code !== 'INTERNAL';
  const note = `${response.status} ${String(body?.detail ?? '').slice(0, 120)}`;
  return { code: refused ? code : null, note };
}
