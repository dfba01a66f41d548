/** How the tabs of a browser find out which of them holds the connection, and talk to each other. */
export interface Tabs {
  /**
   * Waits for the lock `name`, or takes it from its holder with `steal`, and runs `hold` while this tab owns it. `lost`
   * aborts when another tab has taken it. Resolves when `hold` has ended. Rejects when `signal` aborts before.
   */
  lock(
    name: string,
    options: { steal: boolean; signal: AbortSignal },
    hold: (lost: AbortSignal) => Promise<void>
  ): Promise<void>
  /** Opens a channel to the other tabs. A message is a copy; the sender does not receive its own. */
  channel(name: string): TabChannel
  isVisible(): boolean
  /** Calls `run` when the page becomes visible, or returns from the back/forward cache. */
  onShow(run: () => void): () => void
  /** Calls `run` when the page is put into the back/forward cache. */
  onHide(run: () => void): () => void
}

export interface TabChannel {
  send(message: unknown): void
  onMessage(run: (message: unknown) => void): void
  close(): void
}

/** Messages between tabs, by topic. `body` is a copy. */
export interface Bus {
  readonly tabId: string
  send(topic: string, body: unknown): void
  on<Body>(topic: string, run: (body: Body, from: string) => void): () => void
}
