import t from 'tap';
import { type BrowserWords, readBrowserWords } from '../../daemon/core/browser-words.js';

/** User agents have the form that their makers document (MDN "User-Agent", Chrome's and WebKit's notes on reduction). */
const gecko = (system: string): string => `Mozilla/5.0 (${system}; rv:145.0) Gecko/20100101 Firefox/145.0`;
const chrome = (system: string, more = ''): string =>
  `Mozilla/5.0 (${system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 ${more}Safari/537.36`;
const webkit = (system: string, rest: string): string =>
  `Mozilla/5.0 (${system}) AppleWebKit/605.1.15 (KHTML, like Gecko) ${rest}`;

const read = (userAgent: string, more: Partial<BrowserWords> = {}) =>
  readBrowserWords({ userAgent, maxTouchPoints: 0, cores: 8, ...more });

const brands = (...names: string[]) =>
  names.map((name) => {
    const [, brand = '', version = ''] = /^(.*) (\d+)$/.exec(name) ?? [];
    return { brand, version };
  });

t.test('what browsers say of their machine, without hints', async (t) => {
  const table: [
    userAgent: string,
    model: string,
    named: boolean,
    system: string,
    browser: string,
    touch?: number,
  ][] = [
    [gecko('X11; Linux x86_64'), 'Linux x86_64, 8 cores', false, 'linux', 'Firefox 145'],
    [gecko('X11; Ubuntu; Linux x86_64'), 'Linux x86_64, 8 cores', false, 'linux', 'Firefox 145'],
    [gecko('X11; Linux aarch64'), 'Linux aarch64, 8 cores', false, 'linux', 'Firefox 145'],
    [gecko('Wayland; Linux x86_64'), 'Linux x86_64, 8 cores', false, 'linux', 'Firefox 145'],
    [gecko('X11; OpenBSD amd64'), 'OpenBSD amd64, 8 cores', false, 'other', 'Firefox 145'],
    [gecko('Windows NT 10.0; Win64; x64'), 'Windows 10.0, 8 cores', false, 'windows', 'Firefox 145'],
    [gecko('Macintosh; Intel Mac OS X 10.15'), 'macOS, 8 cores', false, 'macos', 'Firefox 145'],
    [gecko('Android 14; Mobile'), 'Android 14, 8 cores', false, 'android', 'Firefox 145'],
    [gecko('Android 13; Tablet'), 'Android 13, 8 cores', false, 'android', 'Firefox 145'],
    [chrome('Linux; Android 10; K', 'Mobile '), 'Android 10, 8 cores', false, 'android', 'Chrome 142'],
    [chrome('Linux; Android 13; SM-S901B', 'Mobile '), 'SM-S901B', true, 'android', 'Chrome 142'],
    [
      chrome('Linux; Android 12; Pixel 6 Build/SQ3A.220705.004; wv'),
      'Pixel 6',
      true,
      'android',
      'Chrome 142',
    ],
    [
      chrome('Linux; U; Android 4.4; en-us; GT-I9505 Build/KOT49H'),
      'GT-I9505',
      true,
      'android',
      'Chrome 142',
    ],
    [
      'Mozilla/5.0 (Linux; Android 14; SM-A546B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36',
      'SM-A546B',
      true,
      'android',
      'Samsung Internet 28',
    ],
    [chrome('X11; Linux x86_64'), 'Linux x86_64, 8 cores', false, 'linux', 'Chrome 142'],
    [chrome('X11; CrOS x86_64 14541.0.0'), 'ChromeOS x86_64, 8 cores', false, 'chromeos', 'Chrome 142'],
    [
      `${chrome('Windows NT 10.0; Win64; x64')} Edg/142.0.0.0`,
      'Windows 10.0, 8 cores',
      false,
      'windows',
      'Edge 142',
    ],
    [`${chrome('X11; Linux x86_64')} OPR/120.0.0.0`, 'Linux x86_64, 8 cores', false, 'linux', 'Opera 120'],
    [
      webkit('iPhone; CPU iPhone OS 18_6 like Mac OS X', 'Version/26.0 Mobile/15E148 Safari/604.1'),
      'iPhone, iOS 18.6, 8 cores',
      false,
      'ios',
      'Safari 26',
    ],
    [
      webkit('iPhone; CPU iPhone OS 18_6 like Mac OS X', 'CriOS/142.0.0.0 Mobile/15E148 Safari/604.1'),
      'iPhone, iOS 18.6, 8 cores',
      false,
      'ios',
      'Chrome 142 on WebKit',
    ],
    [
      webkit('Macintosh; Intel Mac OS X 10_15_7', 'Version/26.0 Safari/605.1.15'),
      'iPad, iPadOS, 8 cores',
      false,
      'ios',
      'Safari 26',
      5,
    ],
    [
      webkit('Macintosh; Intel Mac OS X 10_15_7', 'Version/26.0 Safari/605.1.15'),
      'macOS, 8 cores',
      false,
      'macos',
      'Safari 26',
    ],
    ['', 'unknown system, 8 cores', false, 'other', 'unknown browser'],
    ['curl/8.5.0', 'unknown system, 8 cores', false, 'other', 'unknown browser'],
  ];
  for (const [userAgent, model, named, system, browser, maxTouchPoints = 0] of table)
    t.match(read(userAgent, { maxTouchPoints }), { model, named, system, browser }, userAgent);
  for (const [userAgent] of table) t.notMatch(read(userAgent).model, /X11|^Macintosh$/);
});

t.test('hints are more exact', async (t) => {
  const reduced = chrome('Linux; Android 10; K', 'Mobile ');
  const pixel = read(reduced, {
    brands: brands('Not_A Brand 99', 'Chromium 142', 'Google Chrome 142'),
    hints: {
      platform: 'Android',
      model: 'Pixel 9',
      platformVersion: '16.0.0',
      architecture: '',
      bitness: '',
    },
  });
  t.same(pixel, {
    model: 'Pixel 9',
    named: true,
    system: 'android',
    platform: 'Android 16.0.0',
    browser: 'Google Chrome 142',
  });
  const windows = (platformVersion: string) =>
    read(chrome('Windows NT 10.0; Win64; x64'), {
      brands: brands('Chromium 142', 'Not)A;Brand 8', 'Microsoft Edge 142'),
      hints: { platform: 'Windows', model: '', platformVersion, architecture: 'x86', bitness: '64' },
    });
  t.match(windows('15.0.0'), {
    model: 'Windows 11 x86 64, 8 cores',
    named: false,
    browser: 'Microsoft Edge 142',
  });
  t.match(windows('10.0.0'), { model: 'Windows 10 x86 64, 8 cores' });
  const linux = read(chrome('X11; Linux x86_64'), {
    cores: 1,
    brands: brands('Chromium 142', 'Not.A/Brand 24'),
    hints: { platform: 'Linux', model: '', platformVersion: '6.1.0', architecture: 'x86', bitness: '64' },
  });
  t.match(linux, {
    model: 'Linux 6.1.0 x86 64, 1 core',
    named: false,
    system: 'linux',
    browser: 'Chromium 142',
  });
  t.equal(read(reduced, { hints: { platform: 'Android', model: 'K' } }).named, false);
});
