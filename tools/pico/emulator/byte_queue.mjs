// Bytes between a socket and the board: taken one by one at one end, added in chunks at the other.

export class ByteQueue {
  #chunks = [];
  #taken = 0; // of the first chunk
  length = 0;

  add(chunk) {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.length += chunk.length;
  }

  take() {
    const [first] = this.#chunks;
    const byte = first[this.#taken++];
    this.length--;
    if (this.#taken === first.length) {
      this.#chunks.shift();
      this.#taken = 0;
    }
    return byte;
  }

  clear() {
    this.#chunks = [];
    this.#taken = 0;
    this.length = 0;
  }
}
