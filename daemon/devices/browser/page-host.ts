import { sha256Hex } from '../../core/hash.js';
import { plainAddress } from '../own-addresses.js';
import type { OwnMachine } from '../own-machine.js';
import type { About } from './wire.js';

/**
 * The machine on whose processors a page computes, as `Sighting.host`: `local` for this one; otherwise the same name for all
 * browsers that come from one address and say the same of their machine.
 */
export function pageHost(
  { peer, about }: { readonly peer: string; readonly about: About },
  machine: OwnMachine,
): string {
  if (machine.isOwnAddress(peer) && mayBeOn(machine, about)) return 'local';
  const { system, platform, cores } = about;
  return `page-host-${sha256Hex([plainAddress(peer), system, platform, cores].join('\n')).slice(0, 8)}`;
}

/**
 * Whether nothing that the browser says contradicts it. A tunnel ends on loopback as well: another system, or more cores than
 * there are, give it away. Fewer do not: browsers may hide cores.
 */
const mayBeOn = ({ systems, cores }: OwnMachine, about: About): boolean =>
  systems.includes(about.system) && about.cores <= cores;
