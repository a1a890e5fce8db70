import { gaussian, type Rng } from '../../daemon/core/rng.js';

/**
 * Speech-like sound at 16 kHz in -1 to 1: syllables of a voice (harmonics of a gliding pitch under two moving formants)
 * with pauses between, hisses, and noise beneath.
 */
export function speech(rng: Rng, samples: number): Float32Array {
  const rate = 16_000;
  const sound = Float32Array.from({ length: samples }, () => 0.004 * gaussian(rng));
  let at = Math.floor(rng.next() * 0.2 * rate) - 1600;
  while (at < samples) {
    const length = Math.floor((0.08 + 0.25 * rng.next()) * rate);
    const pitch = 90 + 160 * rng.next();
    const formants = [300 + 600 * rng.next(), 900 + 1600 * rng.next()] as const;
    const loud = 0.15 + 0.6 * rng.next();
    const hiss = rng.next() < 0.25;
    const phases = Array.from({ length: 24 }, () => 2 * Math.PI * rng.next());
    for (let i = Math.max(0, -at); i < length && at + i < samples; i++) {
      const share = i / length;
      const shape = loud * Math.sin(Math.PI * share) ** 0.5;
      let value = hiss ? 0.3 * gaussian(rng) : 0;
      for (let k = 1; !hiss && k < phases.length; k++) {
        const hertz = k * pitch * (1 + 0.15 * share);
        const weight = formants.reduce(
          (sum, centre) => sum + 1 / (1 + ((hertz - centre * (1 + 0.1 * share)) / 120) ** 2),
          0.02,
        );
        value += (weight * Math.sin(2 * Math.PI * hertz * (i / rate) + (phases[k] as number))) / 3;
      }
      sound[at + i] = Math.max(-1, Math.min(1, (sound[at + i] as number) + shape * value));
    }
    at += length + Math.floor((rng.next() < 0.3 ? 0.3 : 0.03) * rng.next() * rate);
  }
  return sound;
}
