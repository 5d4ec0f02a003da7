// The start-of-frame packets that a USB host sends every millisecond. rp2040js makes them only where the chip is
// the host. MicroPython asks for them for a moment after the port was opened, and then sends what it had
// printed until then; without them main.py's output would wait for the first input.

const FRAME_NANOS = 1e6;
const FRAME_NUMBER_READ = 0x48;
const FRAME_NUMBER_MASK = 0x7ff;
const INTERRUPT_ENABLE = 0x90;
const FRAME_INTERRUPT = 1 << 17;

export function installUsbFrames(mcu) {
  const usb = mcu.usbCtrl;
  let frame = 0;
  let running = false;
  const alarm = mcu.clock.createAlarm(() => {
    running = (usb.intEnable & FRAME_INTERRUPT) !== 0;
    if (!running) return;
    frame = (frame + 1) & FRAME_NUMBER_MASK;
    usb.intRaw |= FRAME_INTERRUPT;
    usb.checkInterrupts();
    alarm.schedule(FRAME_NANOS);
  });

  const read = usb.readUint32.bind(usb);
  usb.readUint32 = (offset) => {
    if (offset !== FRAME_NUMBER_READ) return read(offset);
    usb.intRaw &= ~FRAME_INTERRUPT;
    usb.checkInterrupts();
    return frame;
  };
  const write = usb.writeUint32.bind(usb);
  usb.writeUint32 = (offset, value) => {
    write(offset, value);
    if (offset === INTERRUPT_ENABLE && !running && value & FRAME_INTERRUPT) {
      running = true;
      alarm.schedule(FRAME_NANOS);
    }
  };
}
