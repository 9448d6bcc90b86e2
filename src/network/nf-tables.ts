import {
  type Attribute,
  appendFlag,
  bytesOf,
  createFlag,
  type EncodedMessages,
  encodeMessages,
  type Message,
  nested,
  text,
  u32be,
} from "./netlink.ts";

/** Messages of nf_tables, family ip. @see include/uapi/linux/netfilter/nf_tables.h */

const subsystem = 10;
const batchBegin = 16;
const batchEnd = 17;
const action = { newTable: 0, deleteTable: 2, newChain: 3, newRule: 6, newSet: 9, newElement: 12, deleteElement: 14 };
const inet = 2;
const listElement = 1;
const dataValue = 1;

/** Wraps messages into one transaction: all are done or, when one is refused, none. */
export function encodeTransaction(messages: readonly Message[]): EncodedMessages {
  const edge = (type: number): Message => ({
    type,
    flags: 0,
    header: Uint8Array.of(0, 0, 0, subsystem),
    attributes: [],
  });
  return encodeMessages([edge(batchBegin), ...messages, edge(batchEnd)], messages.length);
}

export function addTable(table: string): Message {
  return message(action.newTable, createFlag, [text(1, table), u32be(2, 0)]);
}

export function deleteTable(table: string): Message {
  return message(action.deleteTable, 0, [text(1, table)]);
}

export type Hook = "prerouting" | "forward" | "output" | "postrouting";

/** A chain that rules jump to. */
export function addChain(table: string, chain: string): Message {
  return message(action.newChain, createFlag, [text(1, table), text(3, chain)]);
}

/** A chain that packets enter at a hook, the lower priorities first; what no rule decides is accepted. */
export function addBaseChain(
  table: string,
  chain: string,
  { type, hook, priority }: { readonly type: "filter" | "nat"; readonly hook: Hook; readonly priority: number },
): Message {
  const hookNumber: Record<Hook, number> = { prerouting: 0, forward: 2, output: 3, postrouting: 4 };
  return message(action.newChain, createFlag, [
    text(1, table),
    text(3, chain),
    nested(4, [u32be(1, hookNumber[hook]), u32be(2, priority)]),
    u32be(5, verdict.accept),
    text(7, type),
  ]);
}

export function addRule(table: string, chain: string, expressions: readonly Attribute[]): Message {
  return message(action.newRule, createFlag | appendFlag, [text(1, table), text(2, chain), nested(4, expressions)]);
}

/** A part of a map's key or value: its number among nft's data types and its length; each takes whole 4 bytes. */
export type DataType = keyof typeof dataTypes;
const dataTypes = { ipv4_addr: 7, inet_proto: 12, inet_service: 13 };

export function addMap(
  table: string,
  map: string,
  id: number,
  key: readonly DataType[],
  value: readonly DataType[],
): Message {
  const isMap = 0x8;
  const typeNumber = (types: readonly DataType[]) => types.reduce((sum, type) => (sum << 6) | dataTypes[type], 0);
  return message(action.newSet, createFlag, [
    text(1, table),
    text(2, map),
    u32be(3, isMap),
    u32be(4, typeNumber(key)),
    u32be(5, key.length * 4),
    u32be(6, typeNumber(value)),
    u32be(7, value.length * 4),
    u32be(10, id),
  ]);
}

export interface Element {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly comment: string;
}

/** Adds elements; the kernel refuses one whose key is there with another value (EBUSY). */
export function addElements(table: string, map: string, elements: readonly Element[]): Message {
  const encoded = elements.map(({ key, value, comment }) =>
    nested(listElement, [
      nested(1, [bytesOf(dataValue, key)]),
      nested(2, [bytesOf(dataValue, value)]),
      bytesOf(6, commentData(comment)),
    ]),
  );
  return message(action.newElement, createFlag, [text(1, table), text(2, map), nested(3, encoded)]);
}

export function deleteElement(table: string, map: string, key: Uint8Array): Message {
  const element = nested(listElement, [nested(1, [bytesOf(dataValue, key)])]);
  return message(action.deleteElement, 0, [text(1, table), text(2, map), nested(3, [element])]);
}

/** Removes all elements of a map. */
export function flushMap(table: string, map: string): Message {
  return message(action.deleteElement, 0, [text(1, table), text(2, map)]);
}

// --- expressions -----------------------------------------------------------------------------------------------

/** Registers are 16 bytes; from the second word on of the first they're named by the word: 8 + n. */
const register1 = 1;

/** Where the nth word of the first register begins. */
function word(index: number): number {
  return index === 0 ? register1 : 8 + index;
}

const verdict = { drop: 0, accept: 1, jump: -3 };

/** Loads bytes of the packet's IP header to a word. */
export function loadNetworkHeader(offset: number, length: number, at = 0): Attribute {
  return loadPayload(1, offset, length, at);
}

/** The destination port, of TCP and UDP alike. */
export function loadDestinationPort(at: number): Attribute {
  return loadPayload(2, 2, 2, at);
}

export function loadProtocol(at: number): Attribute {
  return expression("meta", [u32be(1, word(at)), u32be(2, 16)]);
}

export function loadInterface(side: "in" | "out"): Attribute {
  return expression("meta", [u32be(1, register1), u32be(2, side === "in" ? 6 : 7)]);
}

/** Loads what kind of address the destination is to this host; {@link localAddress} is its own. */
export function loadDestinationKind(): Attribute {
  const destination = 2;
  const addressType = 3;
  return expression("fib", [u32be(1, register1), u32be(2, addressType), u32be(3, destination)]);
}

export const localAddress = Uint8Array.of(2, 0, 0, 0);

/** Loads bits of the connection and keeps those of `bits`. */
export function loadConnection(what: "state" | "status", bits: number): readonly Attribute[] {
  const bytes = Uint8Array.of(bits, 0, 0, 0);
  return [
    expression("ct", [u32be(1, register1), u32be(2, what === "state" ? 0 : 2)]),
    expression("bitwise", maskData(bytes)),
  ];
}

/** Keeps the bits of `bytes` in the first register. */
export function maskRegister(bytes: Uint8Array): Attribute {
  return expression("bitwise", maskData(bytes));
}

/** Goes on with the next rule unless the first register is (or, `not`, is not) this. */
export function compare(bytes: Uint8Array, not = false): Attribute {
  return expression("cmp", [u32be(1, register1), u32be(2, not ? 1 : 0), nested(3, [bytesOf(dataValue, bytes)])]);
}

/** An interface's name as a register has it. */
export function interfaceName(name: string): Uint8Array {
  const bytes = new Uint8Array(16);
  new TextEncoder().encodeInto(name, bytes);
  return bytes;
}

/** Takes the first register as key; the value comes to the same register. Goes on with the next rule when it isn't there. */
export function lookUp(map: string, id: number): Attribute {
  return expression("lookup", [text(1, map), u32be(2, register1), u32be(3, register1), u32be(4, id)]);
}

/** Sends the connection to the address and port in the first two words. */
export function destinationNat(): Attribute {
  return expression("nat", [u32be(1, 1), u32be(2, inet), u32be(3, word(0)), u32be(5, word(1))]);
}

export function masquerade(): Attribute {
  return expression("masq", []);
}

export function decide(what: "accept" | "drop" | { readonly jump: string }): Attribute {
  const code = typeof what === "string" ? [u32be(1, verdict[what])] : [u32be(1, verdict.jump), text(2, what.jump)];
  const verdictData = 2;
  return expression("immediate", [u32be(1, 0), nested(2, [nested(verdictData, code)])]);
}

function loadPayload(base: number, offset: number, length: number, at: number): Attribute {
  return expression("payload", [u32be(1, word(at)), u32be(2, base), u32be(3, offset), u32be(4, length)]);
}

function maskData(bytes: Uint8Array): readonly Attribute[] {
  const zeros = new Uint8Array(bytes.length);
  return [
    u32be(1, register1),
    u32be(2, register1),
    u32be(3, bytes.length),
    nested(4, [bytesOf(dataValue, bytes)]),
    nested(5, [bytesOf(dataValue, zeros)]),
  ];
}

function expression(name: string, data: readonly Attribute[]): Attribute {
  return nested(listElement, [text(1, name), nested(2, data)]);
}

/** What `nft list` shows as the element's comment: a type-length-value record of the program's own. */
function commentData(comment: string): Uint8Array {
  const value = new TextEncoder().encode(`${comment}\0`);
  return Uint8Array.of(0, value.length, ...value);
}

function message(type: number, flags: number, attributes: readonly Attribute[]): Message {
  return { type: (subsystem << 8) | type, flags, header: Uint8Array.of(inet, 0, 0, 0), attributes };
}
