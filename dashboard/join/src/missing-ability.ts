/** What a browser has, by the names of its global objects. */
export interface Abilities {
  readonly WebAssembly?: unknown;
  readonly Worker?: unknown;
  readonly WebSocket?: unknown;
}

/**
 * Why a browser cannot run networks at all, for people; null where it can. Lockdown modes and some embedded browsers
 * lack WebAssembly. Told before the page joins, since nothing that fails later is the fault of a network.
 */
export function missingAbility(has: Abilities): { readonly detail: string; readonly hint: string } | null {
  const missing = (['WebSocket', 'WebAssembly', 'Worker'] as const).filter((name) => has[name] === undefined);
  if (missing.length === 0) return null;
  return {
    detail: `This browser has no ${missing.join(' and no ')}, and cannot run networks.`,
    hint: 'Open the same address in another browser, or allow this page in the lockdown settings. The invitation is not used up.',
  };
}
