// Connects the board's UARTs to a TCP server each: what a program on the board uses instead of Wi-Fi.
//
// The first byte that the board sends opens the connection. The board hangs up by resetting its UART, which
// `machine.UART(N, ...)` and `deinit()` do; so a program connects anew by making its UART anew. When the
// server hangs up, the next byte from the board opens a new connection. What is sent while there is no server
// is lost, as on a line without a partner.

import net from 'node:net';
import { ByteQueue } from './byte_queue.mjs';
import { PERIPHERAL } from './memory_map.mjs';

const BITS_PER_BYTE = 10; // with start and stop bit
const DEFAULT_BAUD = 115200;
const FIRST_BYTE_DELAY_NANOS = 1000;
const INPUT_LIMIT_BYTES = 64 * 1024;
const DATA_REGISTER = 0x00;
const TRANSMIT_INTERRUPT = 1 << 5;
const RESET_REGISTER = 0x0;
const RESET_UART = [1 << 22, 1 << 23];

/**
 * rp2040js raises the transmit interrupt at every look at the interrupts, which never ends with a program that
 * keeps it enabled, as MicroPython does. Here it rises when a byte was sent, as on the chip.
 */
function correctTransmitInterrupt(mcu, uart) {
  uart.checkInterrupts = () => mcu.setInterrupt(uart.irq, !!(uart.interruptStatus & uart.interruptMask));
  const write = uart.writeUint32.bind(uart);
  uart.writeUint32 = (offset, value) => {
    write(offset, value);
    if (offset === DATA_REGISTER) {
      uart.interruptStatus |= TRANSMIT_INTERRUPT;
      uart.checkInterrupts();
    }
  };
}

export class UartBridge {
  /** `number` is the UART's; `server` is `{host, port}`, or null for one with nothing connected. */
  constructor(simulator, number, server, { onInput, log }) {
    const mcu = simulator.rp2040;
    this.name = `uart${number}`;
    this.uart = mcu.uart[number];
    correctTransmitInterrupt(mcu, this.uart);
    this.server = server;
    this.onInput = onInput;
    this.log = log;
    this.socket = null;
    this.input = new ByteQueue();
    this.output = [];
    this.alarm = simulator.clock.createAlarm(() => this.#receive());
    this.receiving = false;
    if (server) {
      this.uart.onByte = (byte) => this.#send(byte);
      this.#hangUpOnReset(mcu.peripherals[PERIPHERAL.RESETS], RESET_UART[number]);
    }
  }

  hangUp() {
    this.socket?.destroy();
    this.socket = null;
    this.input.clear();
    this.output = [];
  }

  #hangUpOnReset(resets, bit) {
    const write = resets.writeUint32.bind(resets);
    resets.writeUint32 = (offset, value) => {
      write(offset, value);
      if (offset === RESET_REGISTER && value & bit) {
        this.hangUp();
        this.uart.rxFIFO.reset();
      }
    };
  }

  #send(byte) {
    this.socket ??= this.#connect();
    this.output.push(byte);
    if (this.output.length === 1) setImmediate(() => this.#flush());
  }

  #flush() {
    if (this.output.length) this.socket?.write(Buffer.from(this.output));
    this.output = [];
  }

  #connect() {
    const socket = net.connect(this.server);
    socket.setNoDelay(true);
    socket.on('connect', () => this.log(`${this.name}: connected`));
    socket.on('data', (chunk) => {
      if (this.socket !== socket) return; // the board hung up in the meantime
      this.input.add(chunk);
      if (this.input.length > INPUT_LIMIT_BYTES) socket.pause();
      this.#startReceiving();
      this.onInput();
    });
    socket.on('error', (error) => this.log(`${this.name}: ${error.message}`));
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      this.log(`${this.name}: closed`);
      if (this.socket === socket) this.socket = null;
    });
    return socket;
  }

  #startReceiving() {
    if (this.receiving || this.input.length === 0) return;
    this.receiving = true;
    this.alarm.schedule(FIRST_BYTE_DELAY_NANOS);
  }

  /** Gives the chip one byte in the time its baud rate takes, and waits while its FIFO is full. */
  #receive() {
    if (this.input.length && !this.uart.rxFIFO.full) this.uart.feedByte(this.input.take());
    this.receiving = this.input.length > 0;
    if (this.receiving) {
      this.alarm.schedule((BITS_PER_BYTE * 1e9) / (this.uart.baudRate || DEFAULT_BAUD));
    } else {
      this.socket?.resume();
    }
  }
}
