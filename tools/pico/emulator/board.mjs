// A Pico W from power-on on: the chip, its boot ROM and its flash, started anew at every reset.

import { Simulator } from 'rp2040js';
import { installBootRom } from './boot_rom.mjs';
import { makeFast } from './fast_core.mjs';
import { FlashChip } from './flash_chip.mjs';
import { FLASH_START, PERIPHERAL } from './memory_map.mjs';
import { installRingOscillator } from './ring_oscillator.mjs';
import { RunLoop } from './run_loop.mjs';
import { installSecondCoreMailbox } from './second_core.mjs';
import { UartBridge } from './uart_bridge.mjs';
import { installUsbFrames } from './usb_frames.mjs';

/** What rp2040js has to say: its errors only, such as a register it does not model. */
function errorLogger(log) {
  const nothing = () => {};
  const error = (component, message) => log(`${component}: ${message}`);
  return { debug: nothing, info: nothing, warn: nothing, error };
}

export class Board {
  /**
   * `flash` holds what the chip starts with. `uarts` are a server for each UART, `{host, port}` or null. `idle` is one of run_loop's.
   * `events` has `ready()`, `reset(cause)`, `fault(what)` and `log(text)`.
   */
  constructor({ flash, console, uarts, idle, plainCore, events }) {
    this.flash = flash;
    this.console = console;
    this.uarts = uarts;
    this.idle = idle;
    this.plainCore = plainCore;
    this.events = events;
    this.cycles = 0; // of the starts before this one
    this.nanos = 0;
  }

  /** Starts the chip. `watchdog` is what the watchdog remembers of the start before. */
  start(watchdog = null) {
    const simulator = new Simulator();
    const mcu = simulator.rp2040;
    mcu.logger = errorLogger(this.events.log);
    this.simulator = simulator;
    this.runLoop = new RunLoop(simulator, this.idle, (what) => this.#fault(what));
    this.chip = new FlashChip(mcu);
    installBootRom(mcu, this.chip, (what) => this.#fault(what));
    installRingOscillator(mcu);
    installSecondCoreMailbox(mcu);
    installUsbFrames(mcu);
    mcu.reset();
    mcu.flash.set(this.flash);
    this.#followWatchdog(mcu.peripherals[PERIPHERAL.WATCHDOG], watchdog);
    this.console.attach(mcu, () => this.events.ready());
    const wake = () => this.runLoop.wake();
    const outside = { onInput: wake, log: this.events.log };
    this.bridges = this.uarts.map((server, number) => new UartBridge(simulator, number, server, outside));
    if (!this.plainCore) makeFast(mcu);
    mcu.core.PC = FLASH_START; // the ROM would check and start what is there; it is known to be good
    mcu.core.LR = 0;
    this.runLoop.start();
  }

  stop() {
    this.runLoop.stop();
    for (const bridge of this.bridges) bridge.hangUp();
  }

  get simulatedSeconds() {
    return (this.nanos + this.simulator.clock.nanos) / 1e9;
  }

  get executedCycles() {
    return this.cycles + this.simulator.rp2040.core.cycles;
  }

  #followWatchdog(watchdog, before) {
    if (before) {
      watchdog.reason = before.reason;
      watchdog.scratchData.set(before.scratchData);
    }
    let triggered = false;
    watchdog.onWatchdogTrigger = () => {
      if (triggered) return;
      triggered = true;
      watchdog.alarm.enable = false; // it would go off again, at the same instant, for ever
      this.stop();
      setImmediate(() => this.#restart(watchdog));
    };
  }

  #restart(watchdog) {
    this.events.reset();
    const { rp2040, clock } = this.simulator;
    const changed = this.chip.changed;
    this.cycles += rp2040.core.cycles;
    this.nanos += clock.nanos;
    this.flash = rp2040.flash.slice();
    this.start(watchdog);
    this.chip.changed = changed;
  }

  #fault(what) {
    if (!this.runLoop.running) return;
    this.stop();
    const { core } = this.simulator.rp2040;
    const hex = (value) => `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
    this.events.fault(`${what} (PC ${hex(core.PC)}, LR ${hex(core.LR)})`);
  }
}
