import type { Op } from "./op.ts";

/** Writes ops as JSON: bytes as `{"$bytes": base64}`, big integers as `{"$integer": decimal}`. */
export function opsToJson(ops: readonly Op[]): unknown {
  return ops.map((op) => Object.fromEntries(Object.entries(op).map(([key, value]) => [key, valueToJson(value)])));
}

/** Reads what {@link opsToJson} wrote; the text comes from a file of our own, so its shape isn't checked again. */
export function opsFromJson(json: unknown): readonly Op[] {
  if (!Array.isArray(json)) throw new TypeError("a list of ops was expected");
  return json.map(
    (op: object) =>
      Object.fromEntries(Object.entries(op).map(([key, value]) => [key, valueFromJson(value)])) as unknown as Op,
  );
}

function valueToJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") };
  if (typeof value === "bigint") return { $integer: String(value) };
  if (Array.isArray(value)) return value.map(valueToJson);
  return value;
}

function valueFromJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(valueFromJson);
  if (typeof value !== "object" || value === null) return value;
  if ("$bytes" in value) return Buffer.from(String(value.$bytes), "base64");
  if ("$integer" in value) return BigInt(String(value.$integer));
  return value;
}
