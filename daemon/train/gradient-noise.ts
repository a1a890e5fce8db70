import { gaussian, type Rng } from '../core/rng.js';

/**
 * Annealed gradient noise (Neelakantan et al. 2015, equation 1): adds N(0, eta / (1 + t)^gamma) to every slope, in
 * place. `t` counts steps from 0. The authors choose eta from 0.01, 0.3 and 1; gamma is 0.55.
 */
export function addGradientNoise(
  gradient: Float32Array,
  { eta, t, gamma = 0.55 }: { readonly eta: number; readonly t: number; readonly gamma?: number },
  rng: Rng,
): void {
  const deviation = Math.sqrt(eta / (1 + t) ** gamma);
  for (let i = 0; i < gradient.length; i++) gradient[i] = (gradient[i] as number) + deviation * gaussian(rng);
}
