import { signal } from '@preact/signals';
import type { PageState } from './wire.js';

/** What may spoil a measurement on this side: a hidden page, a sleeping screen, a low battery. */
export const conditions = signal<PageState>({
  hiddenCount: 0,
  hidden: document.hidden,
  wakeLock: false,
  battery: null,
});

interface Battery extends EventTarget {
  readonly level: number;
  readonly charging: boolean;
}

export function watchConditions(): void {
  const change = (part: Partial<PageState>): void => {
    conditions.value = { ...conditions.value, ...part };
  };
  /** The lock ends whenever the page is hidden, so it is asked for again when the page is back. */
  const keepAwake = async (): Promise<void> => {
    try {
      const lock = await navigator.wakeLock?.request('screen');
      if (!lock) return;
      change({ wakeLock: true });
      lock.addEventListener('release', () => change({ wakeLock: false }));
    } catch {
      // A low battery, or a page over plain http: the page says that the screen must be kept on by hand.
    }
  };
  document.addEventListener('visibilitychange', () => {
    const { hidden } = document;
    change({ hidden, hiddenCount: conditions.value.hiddenCount + (hidden ? 1 : 0) });
    if (!hidden) void keepAwake();
  });
  void keepAwake();
  const { getBattery } = navigator as Navigator & { getBattery?: () => Promise<Battery> };
  void getBattery?.call(navigator).then((battery) => {
    const read = (): void => change({ battery: { level: battery.level, charging: battery.charging } });
    for (const event of ['levelchange', 'chargingchange']) battery.addEventListener(event, read);
    read();
  });
}
