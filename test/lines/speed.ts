/** Of a line, in each direction. */
export interface Speed {
  readonly kbitPerS: number;
  /** One way. */
  readonly delayMs: number;
}
