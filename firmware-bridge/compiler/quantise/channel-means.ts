/** What the channels of a value are on average, as they are and once all that leads to them is rounded to 8 bits. */
export interface ChannelMeans {
  readonly exact: readonly number[];
  readonly rounded: readonly number[];
}

/** A mean by output of a layer and place in that output's weights. */
type AtTap = (output: number, k: number) => number;

/** The means of what a layer's weights are multiplied by. */
export interface TapMeans {
  readonly exact: AtTap;
  readonly rounded: AtTap;
}

/** The means at each place of a layer's weights, from those of the channels; undefined where they are unknown. */
export const tapMeans = (
  means: ChannelMeans | undefined,
  at: (channels: readonly number[]) => AtTap,
): TapMeans | undefined => means && { exact: at(means.exact), rounded: at(means.rounded) };
