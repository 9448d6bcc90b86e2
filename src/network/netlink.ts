import type { Slot, SlotPatch } from "../program/op.ts";

/** One attribute of a netlink message: bytes, further attributes, or the number of a slot's descriptor. */
export interface Attribute {
  readonly type: number;
  readonly value: Uint8Array | readonly Attribute[] | { readonly slot: Slot };
  /** Bytes of a fixed header that come before the nested attributes (VETH_INFO_PEER). */
  readonly header?: Uint8Array;
}

export interface Message {
  readonly type: number;
  /** NLM_F_*; NLM_F_REQUEST is added to all, NLM_F_ACK to the last. */
  readonly flags: number;
  /** The family's fixed header: ifinfomsg, rtmsg, nfgenmsg … */
  readonly header: Uint8Array;
  readonly attributes: readonly Attribute[];
}

/** What the `netlink` op takes. */
export interface EncodedMessages {
  readonly messages: Uint8Array;
  readonly patches: readonly SlotPatch[];
}

export const netlinkRoute = 0;
export const netlinkNetfilter = 12;

const requestFlag = 0x1;
const ackFlag = 0x4;
export const replaceFlag = 0x100;
export const exclusiveFlag = 0x200;
export const createFlag = 0x400;
export const appendFlag = 0x800;

const nestedFlag = 0x8000;
const messageHeaderLength = 16;
const attributeHeaderLength = 4;

/**
 * Encodes messages that are sent in one go, numbered from 1.
 *
 * Only the message at `acknowledged` (the last, unless said) asks for an answer: the kernel answers refused ones in any case, and in
 * order, so one answer tells of all. Numbers of rtnetlink are in the machine's order, little-endian on all that Onggi runs on.
 *
 * @see netlink(7)
 */
export function encodeMessages(messages: readonly Message[], acknowledged = messages.length - 1): EncodedMessages {
  const length = messages.reduce((sum, message) => sum + align(messageLength(message)), 0);
  const bytes = new Uint8Array(length);
  const writer = { bytes, view: new DataView(bytes.buffer), patches: [] as SlotPatch[] };
  let offset = 0;
  for (const [index, message] of messages.entries()) {
    const flags = message.flags | requestFlag | (index === acknowledged ? ackFlag : 0);
    writer.view.setUint32(offset, messageLength(message), true);
    writer.view.setUint16(offset + 4, message.type, true);
    writer.view.setUint16(offset + 6, flags, true);
    writer.view.setUint32(offset + 8, index + 1, true);
    bytes.set(message.header, offset + messageHeaderLength);
    offset = writeAttributes(writer, offset + messageHeaderLength + align(message.header.length), message.attributes);
  }
  return { messages: bytes, patches: writer.patches };
}

export function nested(type: number, value: readonly Attribute[], header?: Uint8Array): Attribute {
  return header === undefined ? { type, value } : { type, value, header };
}

/** NUL-terminated text. */
export function text(type: number, value: string): Attribute {
  return { type, value: new TextEncoder().encode(`${value}\0`) };
}

/** A number in the machine's order, as rtnetlink has it. */
export function u32(type: number, value: number): Attribute {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return { type, value: bytes };
}

/** A number in network order, as nf_tables and conntrack have it; negative ones as two's complement. */
export function u32be(type: number, value: number): Attribute {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, false);
  return { type, value: bytes };
}

export function bytesOf(type: number, value: Uint8Array | readonly number[]): Attribute {
  return { type, value: Uint8Array.from(value) };
}

interface Writer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly patches: SlotPatch[];
}

function writeAttributes(writer: Writer, start: number, attributes: readonly Attribute[]): number {
  let offset = start;
  for (const attribute of attributes) {
    const { type, value, header } = attribute;
    const isNested = Array.isArray(value);
    writer.view.setUint16(offset, attributeLength(attribute), true);
    writer.view.setUint16(offset + 2, isNested ? type | nestedFlag : type, true);
    const body = offset + attributeHeaderLength;
    if (header !== undefined) writer.bytes.set(header, body);
    if (value instanceof Uint8Array) writer.bytes.set(value, body);
    else if ("slot" in value) writer.patches.push({ offset: body, slot: value.slot });
    else writeAttributes(writer, body + align(header?.length ?? 0), value);
    offset += align(attributeLength(attribute));
  }
  return offset;
}

function messageLength({ header, attributes }: Message): number {
  return messageHeaderLength + align(header.length) + attributesLength(attributes);
}

function attributesLength(attributes: readonly Attribute[]): number {
  return attributes.reduce((sum, attribute) => sum + align(attributeLength(attribute)), 0);
}

function attributeLength({ value, header }: Attribute): number {
  const fixed = attributeHeaderLength + align(header?.length ?? 0);
  if (value instanceof Uint8Array) return fixed + value.length;
  return fixed + ("slot" in value ? 4 : attributesLength(value));
}

function align(length: number): number {
  return (length + 3) & ~3;
}
