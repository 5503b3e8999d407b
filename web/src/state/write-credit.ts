/** How often the address may be written: browsers refuse more than some hundred times in half a minute. Pure. */

export class WriteCredit {
  private last = 0;
  private credit: number;

  /** So many at once, and one more each `restMs`. */
  constructor(
    private readonly most = 25,
    readonly restMs = 450,
  ) {
    this.credit = most;
  }

  /** Whether one may write now; counts it if so. */
  take(now: number): boolean {
    this.credit = Math.min(this.most, this.credit + (now - this.last) / this.restMs);
    this.last = now;
    if (this.credit < 1) return false;
    this.credit -= 1;
    return true;
  }
}
