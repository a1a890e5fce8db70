import type { Hello } from '../../../firmware-bridge/link/index.js';
import { sha256Hex } from '../../core/hash.js';
import type { DeviceId } from '../../core/ids.js';
import type { Target } from '../../core/target.js';
import type { Sighting } from '../contract.js';
import type { BoardProfile } from './board-profile.js';

/** The port's name, and the chip's where it has one: boards change places behind one adapter. */
export const nameOf = (identity: string, { chipId }: Hello): string =>
  hasNumber(chipId) ? `${identity}:${chipId}` : identity;

export const hasNumber = (chipId: string): boolean => /[^0]/.test(chipId);

export const idOf = (identity: string, { board }: BoardProfile): DeviceId =>
  `${board}-${sha256Hex(identity).slice(0, 6)}` as DeviceId;

export const sightingOf = (
  identity: string,
  profile: BoardProfile,
  target: Target,
  obstacle: string | null,
): Sighting => ({
  id: idOf(identity, profile),
  kind: 'mcu',
  label: profile.label,
  target,
  // An emulator behind a serial port runs here.
  host: target.tier === 'emulated' ? 'local' : null,
  obstacle,
});

export const targetOf = (hello: Hello, profile: BoardProfile): Target => ({
  ...unknownTarget(profile),
  clockHz: hello.tickUnit === 'cycles' ? hello.coreHz : null,
  runtimeVersion: hello.buildHash.slice(0, 12),
  tier: hello.tickUnit === 'cycles' ? 'board' : 'emulated',
});

export const unknownTarget = ({ label }: BoardProfile): Target => ({
  model: label,
  clockHz: null,
  runtime: 'hilda-firmware',
  runtimeVersion: 'unknown',
  provider: 'firmware',
  threads: 1,
  dtype: 'int8',
  tier: 'board',
});
