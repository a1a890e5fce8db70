/** Smaller changes are not reported: 0.2 %, on the logarithmic scale. */
export const leastSize = 0.002;
/** A change that goes back within this many points was an episode. */
export const longestEpisode = 25;
