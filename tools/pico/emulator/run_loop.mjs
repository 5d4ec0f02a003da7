// Runs the core in slices, so that sockets are served in between, and decides how fast time passes while the
// core sleeps. Busy, the core is several times slower than a real one; simulated time counts its cycles.

const CYCLE_NANOS = 8; // 125 MHz
const SLICE_MS = 8;
const SLEEPING_SLICE_MS = 1; // shorter, since what the core waits for may come from a socket
const STEPS_BETWEEN_LOOKS_AT_THE_CLOCK = 20000;
const NAP_MS = 1;
const NAP_CREDIT_LIMIT_MS = 5; // a host that was suspended must not make the board's time jump

export const IDLE = {
  /** Sleeping takes as long as it says: deadlines mean what they mean to the other side of a socket. */
  REAL: 'real',
  /** Sleeping takes no time: for programs that talk to nobody but the console. */
  SKIP: 'skip',
};

export class RunLoop {
  constructor(simulator, idle, onFault) {
    this.clock = simulator.clock;
    this.core = simulator.rp2040.core;
    this.idle = idle;
    this.onFault = onFault;
    this.running = false;
    this.cancelNext = () => {};
    this.idleCreditNanos = 0;
    this.nappedAt = null;
    this.mustNap = false;
  }

  start() {
    this.running = true;
    this.#soon();
  }

  stop() {
    this.running = false;
    this.cancelNext();
  }

  /** Ends a nap at once: something arrived from outside. */
  wake() {
    if (this.running && this.nappedAt !== null) {
      this.cancelNext();
      this.#soon();
    }
  }

  #soon() {
    const handle = setImmediate(() => this.#slice());
    this.cancelNext = () => clearImmediate(handle);
  }

  #nap() {
    this.nappedAt = performance.now();
    const handle = setTimeout(() => this.#slice(), NAP_MS);
    this.cancelNext = () => clearTimeout(handle);
  }

  #slice() {
    if (this.nappedAt !== null) {
      const nappedMs = Math.min(performance.now() - this.nappedAt, NAP_CREDIT_LIMIT_MS);
      this.idleCreditNanos = nappedMs * 1e6;
      this.nappedAt = null;
    }
    try {
      this.#run();
    } catch (error) {
      this.onFault(`the emulator failed: ${error.stack}`);
    }
    if (!this.running) return;
    if (this.mustNap) this.#nap();
    else this.#soon();
  }

  #run() {
    const { clock, core } = this;
    this.mustNap = false;
    const started = performance.now();
    const limitMs = () => (core.waiting ? SLEEPING_SLICE_MS : SLICE_MS);
    do {
      let steps = 0;
      while (steps < STEPS_BETWEEN_LOOKS_AT_THE_CLOCK && this.running) {
        if (core.waiting) {
          steps += 1 + this.#sleep() / CYCLE_NANOS;
          if (this.mustNap) return;
        } else {
          const now = clock.nanosCounter + core.executeInstruction() * CYCLE_NANOS;
          const alarm = clock.nextAlarm;
          if (alarm !== null && alarm.nanos <= now) clock.tick(now - clock.nanosCounter);
          else clock.nanosCounter = now;
          steps++;
        }
      }
    } while (this.running && performance.now() - started < limitMs());
  }

  /**
   * Moves on to the next alarm as far as that is allowed; returns the simulated nanoseconds. Sets `mustNap` when
   * real time must pass first, or when only the world outside can wake the core.
   */
  #sleep() {
    const { clock } = this;
    const toAlarm = clock.nextAlarm === null ? Infinity : clock.nanosToNextAlarm;
    const allowed = this.idle === IDLE.REAL ? this.idleCreditNanos : toAlarm;
    if (toAlarm === Infinity || toAlarm > allowed) this.mustNap = true;
    const nanos = Math.min(toAlarm, allowed);
    if (nanos === Infinity) return 0;
    this.idleCreditNanos -= Math.min(nanos, this.idleCreditNanos);
    clock.tick(nanos);
    return nanos;
  }
}
