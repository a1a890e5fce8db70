import type { Identity } from './mlperf-tiny/protocol.js';
import type { PortFacts } from './port-identity.js';

export interface Finding {
  readonly level: 'ok' | 'advice' | 'fault';
  readonly what: string;
  /** What to do; empty when nothing is. */
  readonly remedy: string;
}

/** What the doctor looks at: the system's ports, rights and processes. */
export interface SystemProbe {
  listPorts(): Promise<readonly PortFacts[]>;
  /** Whether this process may read and write the port, and the group that may. */
  access(path: string): { readonly allowed: boolean; readonly group: string | null };
  /** Names of running processes. */
  processes(): readonly string[];
  hasUdevRules(): boolean;
  hasQemu(): boolean;
  /** The board that answers on a port at a baud rate, or the code of what stands in the way. */
  ask(
    path: string,
    baud: number,
    signal: AbortSignal,
  ): Promise<{ readonly board: string } | { readonly code: string }>;
  /** The MLPerf Tiny firmware that answers there, or what the port says instead; empty where it is silent. */
  askMlperfTiny(
    path: string,
    baud: number,
    signal: AbortSignal,
  ): Promise<Identity | { readonly said: string }>;
}
