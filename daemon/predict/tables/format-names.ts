/**
 * `proxylessnas`: YAML, key -> {count, mean, var}, in ms and ms^2. `ofa`: the same with `std` in ms (one file a
 * resolution). `fbnet`: text, a header of candidate names, then one line a searched layer with a latency in microseconds
 * for each candidate. `hilda`: YAML with unit, target and any key.
 */
export const tableFormats = ['hilda', 'proxylessnas', 'ofa', 'fbnet'] as const;
export type TableFormat = (typeof tableFormats)[number];
