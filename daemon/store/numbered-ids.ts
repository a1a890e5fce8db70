/** The number in an id such as `alert-3`; -1, which no row has, for what is no id of that kind. */
export const ordinalOf = (id: string, kind: 'alert' | 'mute' | 'webhook' | 'delivery' | 'rollout'): number =>
  new RegExp(`^${kind}-[1-9]\\d{0,14}$`).test(id) ? Number(id.slice(kind.length + 1)) : -1;
