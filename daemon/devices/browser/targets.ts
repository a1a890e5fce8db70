import type { DeviceId } from '../../core/ids.js';
import type { Target } from '../../core/target.js';
import type { About } from './wire.js';

export interface PageVariant {
  readonly id: DeviceId;
  readonly label: string;
  readonly target: Target;
  /** The provider is WebGPU on an adapter that computes on the CPU. */
  readonly software: boolean;
}

/**
 * What a page's clock and threads allow, which sets what its times mean: a secure and cross-origin isolated page has a
 * clock of 5 us and may use threads and WebGPU; one over plain http has 100 us, one thread, no WebGPU.
 */
const tierOf = ({ secure, isolated }: About): string => (secure && isolated ? 'isolated' : 'basic');

/**
 * What costs belong to. A browser that names no product says what many different machines say; such a machine is a target of
 * its own, by the page's id, so that costs of two are never taken for those of one.
 */
const modelOf = (pageId: string, { model, named }: About): string => (named ? model : `${model} (${pageId})`);

/** The devices that one page is: wasm on one thread, on several where it may, and WebGPU where there is an adapter. */
export function pageVariants(pageId: string, about: About): PageVariant[] {
  const tier = tierOf(about);
  const model = modelOf(pageId, about);
  const variant = (suffix: string, change: Partial<Target>, what: string, software = false): PageVariant => ({
    id: `${pageId}${suffix}` as DeviceId,
    label: `${about.model}, ${about.browser}${what}`,
    target: {
      model,
      clockHz: null,
      runtime: 'onnxruntime-web',
      // The engine compiles the wasm code: another browser is another runtime.
      runtimeVersion: `${about.runtimeVersion} ${about.browser}`,
      provider: 'wasm',
      threads: 1,
      dtype: 'float32',
      tier,
      ...change,
    },
    software,
  });
  const variants = [variant('', {}, '')];
  // Half the cores, as the other half of a phone's are slow ones, which a barrier would wait for.
  const threads = Math.min(4, Math.floor(about.cores / 2));
  if (tier === 'isolated' && threads >= 2)
    variants.push(variant(`-wasm-${threads}`, { threads }, `, ${threads} threads`));
  if (about.gpu) {
    const { name, software } = about.gpu;
    const change = {
      provider: 'webgpu',
      model: `${model} / ${name}`,
      ...(software && { tier: 'software' }),
    };
    variants.push(variant('-webgpu', change, `, WebGPU on ${name}`, software));
  }
  return variants;
}
