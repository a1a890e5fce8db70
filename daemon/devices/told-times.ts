/** Oscillators of two machines differ by far less; a suspended one may count a little of it. */
const clockShare = 0.05;
/** A start and an end are seen a moment after they were. */
const slackUs = 1e6;

/**
 * The longest time, microseconds, that a device can have spent within a call which took so long by the caller's clock. A device
 * that tells more mixed units up, or counts what is no time.
 */
export const mostWithinUs = (elapsedUs: number): number => elapsedUs * (1 + clockShare) + slackUs;
