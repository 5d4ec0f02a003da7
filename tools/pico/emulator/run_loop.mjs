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
    if (this.core.waiting && this.idle === IDLE.REAL) this.#nap();
    else this.#soon();
  }

  #run() {
    const { clock, core } = this;
    const started = performance.now();
    const limitMs = () => (core.waiting ? SLEEPING_SLICE_MS : SLICE_MS);
    do {
      let steps = 0;
      while (steps < STEPS_BETWEEN_LOOKS_AT_THE_CLOCK && this.running) {
        if (core.waiting) {
          const slept = this.#sleep();
          if (slept === null) return;
          steps += 1 + slept / CYCLE_NANOS;
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

  /** Moves on to the next alarm; returns the simulated nanoseconds, or null if real time must pass first. */
  #sleep() {
    const { clock } = this;
    const nanos = clock.nanosToNextAlarm;
    if (this.idle === IDLE.SKIP) {
      clock.tick(nanos);
      return nanos;
    }
    if (clock.nextAlarm !== null && nanos <= this.idleCreditNanos) {
      this.idleCreditNanos -= nanos;
      clock.tick(nanos);
      return nanos;
    }
    if (this.idleCreditNanos > 0) clock.tick(this.idleCreditNanos);
    this.idleCreditNanos = 0;
    return this.core.waiting ? null : 0;
  }
}
