import { AttemptLimit } from '../access/attempt-limit.js';
import { StoredJoinKeys } from '../access/join-keys.js';
import { JoinChannel } from '../api/join-channel.js';
import { JoinServer } from '../api/join-server.js';
import type { Clock } from '../core/clock.js';
import type { Json } from '../core/json.js';
import { AdbServer } from '../devices/adb/adb-server.js';
import type { AdbDriverOptions } from '../devices/adb/options.js';
import { PageHub } from '../devices/browser/hub.js';
import { joinDir } from './installation.js';

export interface AgentPhonesOptions {
  readonly clock: Clock;
  /** Start adb's server where none runs; it outlives the agent. */
  readonly start?: boolean;
  /** As `RunnerOptions`. */
  readonly runners?: readonly string[];
  readonly cores?: readonly string[];
  /** Another port than adb's own. */
  readonly port?: number;
  readonly phonePort?: number;
}

/**
 * What phones on an agent's machine need: they open a page of the agent, not of the daemon, which may be out of their reach. It
 * listens on loopback alone, where their tunnels end, and lets in nobody but them: their invitations are bound to them and
 * die with the agent. Throws PORT_IN_USE.
 */
export async function openAgentPhones(
  { clock, start, runners, cores, port, phonePort }: AgentPhonesOptions,
  signal: AbortSignal,
): Promise<{ readonly adb: AdbDriverOptions; stop(): Promise<void> }> {
  const values = new Map<string, Json>();
  const keys = new StoredJoinKeys(
    {
      value: async (key) => values.get(key),
      setValue: async (key, value) => void values.set(key, value),
    },
    clock,
  );
  const pages = new PageHub({ keys, clock });
  const channel = new JoinChannel({
    accept: (...whom) => pages.accept(...whom),
    guestOf: (pairing) => keys.guestOf(pairing),
    clock,
    attempts: new AttemptLimit({ clock }),
  });
  const server = new JoinServer({
    port: 0,
    loopback: true,
    identity: null,
    joinDir,
    pages: channel,
  });
  const life = new AbortController();
  const joinPort = await server.start(signal);
  channel.start(AbortSignal.any([signal, life.signal]));
  return {
    adb: {
      adb: new AdbServer({
        clock,
        ...(start !== undefined && { start }),
        ...(port !== undefined && { port }),
      }),
      clock,
      pages,
      keys,
      joinPort: () => joinPort,
      ...(runners && { runners }),
      ...(cores && { cores }),
      ...(phonePort !== undefined && { phonePort }),
    },
    async stop() {
      life.abort();
      await channel.stop();
      await server.stop();
      pages.close();
    },
  };
}
