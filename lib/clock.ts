/** The largest difference between the clocks of two nodes that the service allows for. */
export const CLOCK_SKEW_SECONDS = 60
