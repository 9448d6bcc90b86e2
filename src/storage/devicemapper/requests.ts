/** Requests to the device-mapper as ioctls of /dev/mapper/control: `linux/dm-ioctl.h`. */
import { O_RDWR } from "../../program/kernel.ts";
import type { Op } from "../../program/op.ts";

const control = "/dev/mapper/control";
/** struct dm_ioctl, and struct dm_target_spec, which comes before each target's parameters. */
const headerSize = 312;
const targetSize = 40;
/** Room for an answer. */
const answerRoom = 16_384;

const commands = {
  listDevices: 2,
  create: 3,
  remove: 4,
  suspend: 6,
  loadTable: 9,
  tableStatus: 12,
  message: 14,
} as const;

const DM_SUSPEND_FLAG = 1 << 1;
const DM_DEFERRED_REMOVE = 1 << 17;

/** For udev's rules of the device-mapper: nothing is to be looked for on these devices, which would keep them busy when they should go. */
const udevFlags = 0x4e << 16;

interface Request {
  readonly command: keyof typeof commands;
  readonly name?: string;
  readonly flags?: number;
  readonly targets?: number;
  readonly payload?: Uint8Array;
  readonly shell: string;
}

function request({ command, name = "", flags = 0, targets = 0, payload, shell }: Request): Op {
  const argument = Buffer.alloc(Math.max(answerRoom, headerSize + (payload?.length ?? 0)));
  argument.writeUInt32LE(4, 0); // the interface's major version
  argument.writeUInt32LE(argument.length, 12);
  argument.writeUInt32LE(headerSize, 16);
  argument.writeUInt32LE(targets, 20);
  argument.writeUInt32LE(flags, 28);
  if (command === "suspend" || command === "remove") argument.writeUInt32LE(udevFlags, 32);
  argument.write(name, 48, 127);
  if (payload !== undefined) argument.set(payload, headerSize);
  const number = 0xc000fd00 + headerSize * 0x10000 + commands[command];
  return { op: "ioctl", path: control, flags: O_RDWR, request: number, argument, shell };
}

/** Makes a device without a table. */
export const createDevice = (name: string): Op =>
  request({ command: "create", name, shell: `dmsetup create --notable ${name}` });

/** Gives a device its one target, which the next {@link resume} puts to work. */
export function loadTable(name: string, target: string, sectors: number, parameters: string): Op {
  const size = Math.ceil((targetSize + parameters.length + 1) / 8) * 8;
  const payload = Buffer.alloc(size);
  payload.writeBigUInt64LE(BigInt(sectors), 8);
  payload.writeUInt32LE(size, 20);
  payload.write(target, 24, 15);
  payload.write(parameters, targetSize);
  const shell = `dmsetup load ${name} --table '0 ${sectors} ${target} ${parameters}'`;
  return request({ command: "loadTable", name, targets: 1, payload, shell });
}

export const resume = (name: string): Op => request({ command: "suspend", name, shell: `dmsetup resume ${name}` });

/** Holds all writes back; a file system on it is frozen first, so that what lies there is whole. */
export const suspend = (name: string): Op =>
  request({ command: "suspend", name, flags: DM_SUSPEND_FLAG, shell: `dmsetup suspend ${name}` });

/** Where something has it open, it goes when that lets go. */
export const removeDevice = (name: string): Op =>
  request({ command: "remove", name, flags: DM_DEFERRED_REMOVE, shell: `dmsetup remove --deferred ${name}` });

export function message(name: string, text: string): Op {
  const payload = Buffer.alloc(8 + text.length + 1);
  payload.write(text, 8);
  return request({ command: "message", name, payload, shell: `dmsetup message ${name} 0 '${text}'` });
}

/** Answered by what {@link parseStatus} reads. */
export const tableStatus = (name: string): Op =>
  request({ command: "tableStatus", name, shell: `dmsetup status ${name}` });

/** Answered by what {@link parseDevices} reads. */
export const listDevices = (): Op => request({ command: "listDevices", shell: "dmsetup ls" });

/** The minor number of the device that an answer is about: it is /dev/dm-N. */
export function parseMinor(answer: Uint8Array): number {
  return minorOf(Buffer.from(answer).readBigUInt64LE(40));
}

/** The line of a device's one target. */
export function parseStatus(answer: Uint8Array): string {
  const data = Buffer.from(answer);
  const start = data.readUInt32LE(16) + targetSize;
  return data.toString("latin1", start, data.indexOf(0, start));
}

/** Names and minor numbers: struct dm_name_list. */
export function parseDevices(answer: Uint8Array): ReadonlyMap<string, number> {
  const data = Buffer.from(answer);
  const devices = new Map<string, number>();
  let at = data.readUInt32LE(16);
  if (data.readBigUInt64LE(at) === 0n) return devices;
  for (;;) {
    const name = data.toString("latin1", at + 12, data.indexOf(0, at + 12));
    devices.set(name, minorOf(data.readBigUInt64LE(at)));
    const next = data.readUInt32LE(at + 8);
    if (next === 0) return devices;
    at += next;
  }
}

/** As the kernel's huge_encode_dev() packs it. */
function minorOf(device: bigint): number {
  return Number((device & 0xffn) | ((device >> 12n) & 0xfff00n));
}
