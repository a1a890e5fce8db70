import { type BrowserWords, readBrowserWords } from '../../../daemon/core/browser-words.js';
import type { About } from './wire.js';

declare const runtimeVersion: string;

interface UserAgentData {
  readonly brands: readonly { readonly brand: string; readonly version: string }[];
  readonly platform: string;
  getHighEntropyValues(hints: string[]): Promise<BrowserWords['hints']>;
}

interface Adapter {
  readonly info?: {
    readonly vendor?: string;
    readonly architecture?: string;
    readonly description?: string;
    readonly isFallbackAdapter?: boolean;
  };
  readonly isFallbackAdapter?: boolean;
}

type Extended = Navigator & {
  readonly userAgentData?: UserAgentData;
  readonly deviceMemory?: number;
  readonly gpu?: { requestAdapter(): Promise<Adapter | null> };
};

/** What this browser tells about itself and its machine. */
export async function readAbout(): Promise<About> {
  const nav = navigator as Extended;
  const data = nav.userAgentData;
  const hints = await data
    ?.getHighEntropyValues(['model', 'platformVersion', 'architecture', 'bitness'])
    .catch(() => undefined);
  const cores = nav.hardwareConcurrency ?? 1;
  return {
    ...readBrowserWords({
      userAgent: nav.userAgent,
      maxTouchPoints: nav.maxTouchPoints ?? 0,
      cores,
      ...(data && { brands: data.brands, hints: { platform: data.platform, ...hints } }),
    }),
    runtimeVersion: runtimeVersion,
    secure: isSecureContext,
    isolated: globalThis.crossOriginIsolated === true,
    cores,
    memoryGiB: nav.deviceMemory ?? null,
    gpu: await readGpu(nav),
  };
}

async function readGpu({ gpu }: Extended): Promise<About['gpu']> {
  const adapter = await gpu?.requestAdapter().catch(() => null);
  if (!adapter) return null;
  const { vendor, architecture, description, isFallbackAdapter } = adapter.info ?? {};
  const name = description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed adapter';
  const software =
    isFallbackAdapter === true ||
    adapter.isFallbackAdapter === true ||
    /swiftshader|llvmpipe|lavapipe|basic render/i.test(`${vendor} ${architecture} ${description}`);
  return { name: name.slice(0, 200), software };
}
