/** One request at a time, and only the newest of those that wait. Pure but for the promises. */

export type Work = (signal: AbortSignal) => Promise<void>;

/**
 * What a slider asks for thirty times a second: the first goes at once, of those that come while it is away only the
 * last is sent. A request that has been superseded is given up when it takes longer than `patience` milliseconds.
 */
export class Latest {
  private running: AbortController | null = null;
  private waiting: Work | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly failed: (error: unknown) => void,
    private readonly patience = 150,
  ) {}

  ask(work: Work): void {
    if (this.running === null) {
      void this.run(work);
      return;
    }
    this.waiting = work;
    const controller = this.running;
    this.timer ??= setTimeout(() => controller.abort(), this.patience);
  }

  /** Give up what is away and forget what waits. */
  stop(): void {
    this.waiting = null;
    this.running?.abort();
  }

  private async run(work: Work): Promise<void> {
    const controller = new AbortController();
    this.running = controller;
    try {
      await work(controller.signal);
    } catch (error) {
      // What comes next will say itself whether it failed.
      if (!controller.signal.aborted && this.waiting === null) this.failed(error);
    }
    clearTimeout(this.timer);
    this.timer = undefined;
    this.running = null;
    const next = this.waiting;
    this.waiting = null;
    if (next) void this.run(next);
  }
}
