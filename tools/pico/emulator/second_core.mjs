// What is left of the second core: its mailbox. Nothing runs there; a program that resets the core, as MicroPython
// does at a soft reset, waits for the zero that the core's boot ROM would send.

const MAILBOX_STATUS = 0x50;
const MAILBOX_READ = 0x58;
const MESSAGE_WAITING_AND_ROOM_LEFT = 0x03;

export function installSecondCoreMailbox(mcu) {
  const { sio } = mcu;
  const read = sio.readUint32.bind(sio);
  sio.readUint32 = (offset) => {
    if (offset === MAILBOX_STATUS) return MESSAGE_WAITING_AND_ROOM_LEFT;
    return offset === MAILBOX_READ ? 0 : read(offset);
  };
}
