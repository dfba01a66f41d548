/** How far the clocks of two nodes may be apart, seconds. */
export const CLOCK_SKEW_SECONDS = 60
