/** The largest difference between the clocks of two nodes with which the service still works correctly. */
export const CLOCK_SKEW_SECONDS = 60
