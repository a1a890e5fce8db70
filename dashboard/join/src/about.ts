import type { About } from './wire.js';

declare const runtimeVersion: string;

interface UserAgentData {
  readonly brands: readonly { readonly brand: string; readonly version: string }[];
  readonly platform: string;
  getHighEntropyValues(hints: string[]): Promise<{ model?: string; platformVersion?: string }>;
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

/** What this browser tells of itself and its machine. */
export async function readAbout(): Promise<About> {
  const nav = navigator as Extended;
  const hints = await nav.userAgentData
    ?.getHighEntropyValues(['model', 'platformVersion'])
    .catch(() => undefined);
  const platform =
    [nav.userAgentData?.platform, hints?.platformVersion].filter(Boolean).join(' ') ||
    platformOf(nav.userAgent);
  return {
    model: hints?.model || androidModel(nav.userAgent) || platform || 'browser',
    platform,
    browser: browserOf(nav),
    runtimeVersion: runtimeVersion,
    secure: isSecureContext,
    isolated: globalThis.crossOriginIsolated === true,
    cores: nav.hardwareConcurrency ?? 1,
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

/** Brands hold a made-up one ("Not A;Brand") and the engine's besides the browser's own. */
function browserOf({ userAgentData, userAgent }: Extended): string {
  const real = userAgentData?.brands.filter(({ brand }) => !/not.?a.?brand/i.test(brand)) ?? [];
  const brand = real.find(({ brand }) => brand !== 'Chromium') ?? real[0];
  if (brand) return `${brand.brand} ${brand.version}`;
  const match = /(Firefox|Edg|Chrome)\/(\d+)/.exec(userAgent) ?? /(Version)\/(\d+).*Safari/.exec(userAgent);
  return match ? `${match[1] === 'Version' ? 'Safari' : match[1]} ${match[2]}` : 'unknown browser';
}

const androidModel = (userAgent: string): string | undefined =>
  /Android [^;)]*; (?!K\))([^;)]+?)(?: Build|\))/.exec(userAgent)?.[1];

const platformOf = (userAgent: string): string => /\(([^;)]+)/.exec(userAgent)?.[1] ?? '';
