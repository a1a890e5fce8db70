/** Firmware of earlier versions does not say, and ran one board on an oscillator without a crystal. */
const untoldPpm = 10_000;

/** How far a board's clock may be off, as a share. `clockPpm`: in millionths; null where the firmware does not say. */
export const clockOffOf = (clockPpm: number | null): number => (clockPpm ?? untoldPpm) / 1e6;
