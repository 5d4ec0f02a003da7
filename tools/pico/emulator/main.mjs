// Command line of the emulated Pico W. Lines of JSON on standard output tell what happens: "ready" with the
// port of the console each time its USB is up, "reset", and "fault" with the reason.

import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { Board } from './board.mjs';
import { FlashFile } from './flash_file.mjs';
import { FLASH_WINDOW_BYTES } from './memory_map.mjs';
import { IDLE } from './run_loop.mjs';
import { loadUf2 } from './uf2.mjs';
import { UsbConsole } from './usb_console.mjs';

const EXIT_USAGE = 2;
const EXIT_FAULT = 3;

const HELP = `usage: node main.mjs IMAGE.uf2 [options]

Runs a MicroPython image for the Pico W. Connect with
    mpremote connect socket://127.0.0.1:PORT exec "import os; print(os.uname())"
(its REPL wants a serial port; make pico opens it)

  --repl-port PORT    TCP port of the console on this machine; 0, the default, takes any free one
  --flash FILE        keep the flash (2 MiB) in FILE, which is made if it is not there
  --uart0 HOST:PORT   connect UART0 to that TCP server
  --uart1 HOST:PORT   the same for UART1
  --idle real|skip    how long the board's sleep takes: as long as it says, or no time at all;
                      the default is skip, and real with a UART
  --plain-core        use rp2040js' own decoder: about five times slower, for comparison
  --verbose           tell on standard error what the bridge does and, at the end, the speed
  --help              show this

It ends on SIGTERM and SIGINT, and when a pipe on its standard input is closed: with status 0, with ${EXIT_USAGE}
after a wrong argument, and with ${EXIT_FAULT} when the program on the board cannot go on.
`;

class UsageError extends Error {}

function parsePort(text) {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) throw new UsageError(`"${text}" is no TCP port`);
  return port;
}

function parseServer(option, text) {
  if (!text) return null;
  const separator = text.lastIndexOf(':');
  if (separator < 1) throw new UsageError(`--${option} takes HOST:PORT`);
  return { host: text.slice(0, separator), port: parsePort(text.slice(separator + 1)) };
}

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      'repl-port': { type: 'string', default: '0' },
      flash: { type: 'string' },
      uart0: { type: 'string' },
      uart1: { type: 'string' },
      idle: { type: 'string' },
      'plain-core': { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  if (positionals.length !== 1) throw new UsageError('give the path of one UF2 image');
  const uarts = ['uart0', 'uart1'].map((option) => parseServer(option, values[option]));
  const idle = values.idle ?? (uarts.some((server) => server) ? IDLE.REAL : IDLE.SKIP);
  if (!Object.values(IDLE).includes(idle)) throw new UsageError('--idle takes real or skip');
  return {
    image: positionals[0],
    replPort: parsePort(values['repl-port']),
    flashFile: values.flash ?? null,
    uarts,
    idle,
    plainCore: values['plain-core'],
    verbose: values.verbose,
  };
}

/** Calls `end` when whoever started this closes the pipe; a terminal or /dev/null has no such meaning. */
function endWithStandardInput(end) {
  const input = fs.fstatSync(0);
  if (!input.isFIFO() && !input.isSocket()) return;
  process.stdin.on('end', end).on('close', end).on('error', end).resume();
}

async function main(options) {
  const report = (event, fields = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
  const log = (text) => options.verbose && process.stderr.write(`${text}\n`);
  const flashFile = new FlashFile(options.flashFile);
  const flash = new Uint8Array(FLASH_WINDOW_BYTES).fill(0xff);
  flashFile.load(flash);
  loadUf2(fs.readFileSync(options.image), flash);

  const usbConsole = new UsbConsole(() => board.runLoop.wake());
  const port = await usbConsole.listen(options.replPort);
  const started = performance.now();
  const end = (status) => {
    board.stop();
    flashFile.save();
    const seconds = (performance.now() - started) / 1000;
    log(
      `${board.simulatedSeconds.toFixed(3)} s simulated in ${seconds.toFixed(3)} s, ` +
        `${(board.executedCycles / seconds / 1e6).toFixed(1)} MHz on average`,
    );
    usbConsole.close();
    process.exit(status);
  };
  const board = new Board({
    flash,
    console: usbConsole,
    uarts: options.uarts,
    idle: options.idle,
    plainCore: options.plainCore,
    events: {
      ready: () => report('ready', { host: '127.0.0.1', port, simulated_s: board.simulatedSeconds }),
      reset: () => report('reset', { simulated_s: board.simulatedSeconds }),
      fault: (what) => {
        report('fault', { reason: what });
        process.stderr.write(`pico: ${what}\n`);
        end(EXIT_FAULT);
      },
      log,
    },
  });
  flashFile.follow(() => board.chip);
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => end(0));
  endWithStandardInput(() => end(0));
  board.start();
}

try {
  const options = readArguments();
  if (options) await main(options);
  else process.stdout.write(HELP);
} catch (error) {
  process.stderr.write(`pico: ${error.message}\n`);
  process.exit(EXIT_USAGE);
}
