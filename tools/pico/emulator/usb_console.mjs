// The board's USB serial port, offered on a TCP port of this machine: what mpremote connects to.

import net from 'node:net';
import { USBCDC } from 'rp2040js';
import { ByteQueue } from './byte_queue.mjs';

const HOST = '127.0.0.1';
const BACKLOG_LIMIT_BYTES = 64 * 1024;
const INPUT_LIMIT_BYTES = 64 * 1024;

export class UsbConsole {
  constructor(onInput) {
    this.onInput = onInput;
    this.client = null;
    this.cdc = null;
    this.waitingRead = null; // answers the read that the board waits for
    this.input = new ByteQueue();
    this.backlog = []; // what the board wrote while nobody listened: the newest of it
    this.backlogBytes = 0;
    this.server = net.createServer((socket) => this.#accept(socket));
  }

  /** Resolves to the port that was opened; 0 asks for any free one. */
  listen(port) {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, HOST, () => resolve(this.server.address().port));
    });
  }

  /** Takes the port of a board that just started. `onConnected` is called when its USB is up. */
  attach(mcu, onConnected) {
    const cdc = new USBCDC(mcu.usbCtrl);
    this.cdc = cdc;
    this.input.clear();
    cdc.onDeviceConnected = onConnected;
    cdc.onSerialData = (data) => this.#output(Buffer.from(data));
    // rp2040js answers a read at once, with nothing if there is nothing, and the board asks again: it would never
    // sleep. A real host lets the read wait until there is something.
    const answerRead = mcu.usbCtrl.onEndpointRead;
    this.waitingRead = null;
    mcu.usbCtrl.onEndpointRead = (endpoint, size) => {
      const answer = () => answerRead(endpoint, size);
      if (endpoint === cdc.outEndpoint) this.#answerWhenFilled(answer);
      else answer();
    };
  }

  close() {
    this.server.close();
    this.client?.destroy();
  }

  #accept(socket) {
    this.client?.destroy(); // a serial port has one user; the last one has it
    this.client = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      this.input.add(chunk);
      if (this.input.length > INPUT_LIMIT_BYTES) socket.pause();
      if (this.waitingRead) this.#answerWhenFilled(this.waitingRead);
      this.onInput();
    });
    socket.on('close', () => {
      if (this.client === socket) this.client = null;
    });
    socket.on('error', () => socket.destroy());
    for (const chunk of this.backlog) socket.write(chunk);
    this.backlog = [];
    this.backlogBytes = 0;
  }

  #answerWhenFilled(answer) {
    const { txFIFO } = this.cdc;
    while (this.input.length && !txFIFO.full) this.cdc.sendSerialByte(this.input.take());
    if (this.input.length === 0) this.client?.resume();
    this.waitingRead = txFIFO.empty ? answer : null;
    if (!this.waitingRead) answer();
  }

  #output(chunk) {
    if (this.client) {
      this.client.write(chunk);
      return;
    }
    this.backlog.push(chunk);
    this.backlogBytes += chunk.length;
    while (this.backlogBytes > BACKLOG_LIMIT_BYTES) this.backlogBytes -= this.backlog.shift().length;
  }
}
