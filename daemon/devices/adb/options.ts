import type { Clock } from '../../core/clock.js';
import type { PageHub } from '../browser/hub.js';
import type { JoinKeys } from '../join-keys.js';
import type { AdbServer } from './adb-server.js';
import type { RunnerOptions } from './runners/open-runner.js';

export interface AdbDriverOptions extends RunnerOptions {
  readonly adb: AdbServer;
  readonly clock: Clock;
  readonly pages: PageHub;
  readonly keys: JoinKeys;
  /** The port on loopback that serves /join/ and its channel and nothing else, where tunnels end; known once it listens. */
  readonly joinPort: () => number;
  /** The port under which phones reach the daemon; 28080 by default. */
  readonly phonePort?: number;
  /** How long the browser may take to open the page; 30 s by default. */
  readonly openMs?: number;
}
