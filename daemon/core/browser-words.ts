/** What a browser says about itself and its machine, read into names. Pure, as the page that phones open uses it too. */

export const systems = ['linux', 'windows', 'macos', 'android', 'ios', 'chromeos', 'other'] as const;
export type System = (typeof systems)[number];

/** As `navigator` gives it. Hints are those of User-Agent Client Hints; most browsers have none, and none on plain http. */
export interface BrowserWords {
  readonly userAgent: string;
  readonly maxTouchPoints: number;
  readonly cores: number;
  readonly brands?: readonly { readonly brand: string; readonly version: string }[];
  readonly hints?: {
    readonly platform?: string | undefined;
    readonly model?: string | undefined;
    readonly platformVersion?: string | undefined;
    readonly architecture?: string | undefined;
    readonly bitness?: string | undefined;
  };
}

export interface BrowserMachine {
  /** A phone's model where the browser tells it; otherwise system, architecture and cores, which many machines share. */
  readonly model: string;
  /** Whether `model` is the name of a product. Where not, two different machines may say the same. */
  readonly named: boolean;
  readonly system: System;
  /** System with version and architecture, as far as it is told. */
  readonly platform: string;
  /** Name and major version, e.g. `Firefox 145`. */
  readonly browser: string;
}

export function readBrowserWords(words: BrowserWords): BrowserMachine {
  const system = systemOf(words);
  const platform = platformOf(words, system);
  const model = modelOf(words, system);
  const cores = words.cores === 1 ? '1 core' : `${words.cores} cores`;
  return {
    model: model ?? `${platform}, ${cores}`,
    named: model !== null,
    system,
    platform,
    browser: browserOf(words),
  };
}

function systemOf({ userAgent, maxTouchPoints, hints }: BrowserWords): System {
  const said = hints?.platform ?? '';
  if (/android/i.test(said) || /Android/.test(userAgent)) return 'android';
  if (/iPhone|iPad|iPod/.test(userAgent)) return 'ios';
  if (/chrom(e|ium) ?os/i.test(said) || /CrOS/.test(userAgent)) return 'chromeos';
  if (/Windows/.test(said || userAgent)) return 'windows';
  // An iPad calls itself a Macintosh; no Macintosh has a touch screen.
  if (/Macintosh/.test(userAgent)) return maxTouchPoints > 1 ? 'ios' : 'macos';
  if (/^linux$/i.test(said) || /Linux/.test(userAgent)) return 'linux';
  return 'other';
}

/** Windows NT's number stopped at 10.0; the hint counts on from 13 with Windows 11 (Microsoft's table of hints). */
function platformOf({ userAgent, hints }: BrowserWords, system: System): string {
  const version = hints?.platformVersion || '';
  const found = (pattern: RegExp): string => pattern.exec(userAgent)?.[1] ?? '';
  const architecture = hints?.architecture ? `${hints.architecture} ${hints.bitness ?? ''}`.trim() : '';
  const join = (...parts: string[]): string => parts.filter(Boolean).join(' ');
  switch (system) {
    case 'android':
      return join('Android', version || found(/Android (\d[\d.]*)/));
    case 'ios':
      return join(
        /iPhone|iPod/.test(userAgent) ? 'iPhone, iOS' : 'iPad, iPadOS',
        found(/OS (\d+[_\d]*) like/).replaceAll('_', '.'),
      );
    case 'windows':
      return join(
        'Windows',
        version === '' ? found(/Windows NT (\d+\.\d+)/) : Number.parseInt(version, 10) >= 13 ? '11' : '10',
        architecture || (/ARM/i.test(userAgent) ? 'ARM' : ''),
      );
    case 'macos':
      // What the user agent calls the version has stood at 10.15.7 for years.
      return join('macOS', version, architecture);
    case 'chromeos':
      return join('ChromeOS', version, architecture || found(/CrOS (\w+)/));
    case 'linux':
      return join('Linux', version, architecture || found(/Linux ([\w.-]+)/));
    default:
      return found(/\((?:X11; )?([^;)]+)/) || 'unknown system';
  }
}

/** Null where no product is named: reduced user agents say `K`, Firefox `Mobile` or `Tablet`, Apple's nothing. */
function modelOf({ userAgent, hints }: BrowserWords, system: System): string | null {
  if (hints?.model && hints.model !== 'K') return hints.model;
  if (system !== 'android') return null;
  const said = /Android [^;)]*;(?: [a-z]{2}(?:[-_][a-z]{2})?;)? ([^;)]+?)(?: Build\/[^;)]*)?[;)]/i.exec(
    userAgent,
  )?.[1];
  return said === undefined || /^(K|Mobile|Tablet|TV|wv|rv:.*)$/i.test(said) ? null : said;
}

/** Browsers of other makers name the engine's browser too: theirs come first. */
const browsers: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/(?:EdgA|EdgiOS|Edg)\/(\d+)/, 'Edge'],
  [/OPR\/(\d+)/, 'Opera'],
  [/SamsungBrowser\/(\d+)/, 'Samsung Internet'],
  [/Vivaldi\/(\d+)/, 'Vivaldi'],
  [/(?:Firefox|FxiOS)\/(\d+)/, 'Firefox'],
  [/(?:HeadlessChrome|CriOS|Chrome)\/(\d+)/, 'Chrome'],
  [/Version\/(\d+).*Safari/, 'Safari'],
];

/** Brands hold a made-up one (`Not A;Brand`) and the engine's besides the browser's own. */
function browserOf({ brands = [], userAgent }: BrowserWords): string {
  const real = brands.filter(({ brand }) => !/not.?a.?brand/i.test(brand));
  const own = real.find(({ brand }) => brand !== 'Chromium') ?? real[0];
  if (own) return `${own.brand} ${own.version}`;
  for (const [pattern, name] of browsers) {
    const version = pattern.exec(userAgent)?.[1];
    if (version !== undefined)
      return `${name} ${version}${/CriOS|FxiOS|EdgiOS/.test(userAgent) ? ' on WebKit' : ''}`;
  }
  return 'unknown browser';
}
