import assert from "node:assert/strict";

/** What a filter is asked about: struct seccomp_data. */
export interface Call {
  readonly arch: number;
  readonly number: number;
  readonly args?: readonly bigint[];
}

/** Runs a filter as the kernel would, with the kernel's own checks of it. */
export function runFilter(filter: Uint8Array, call: Call): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.number >>> 0, true);
  data.setUint32(4, call.arch, true);
  for (const [index, value] of (call.args ?? []).entries())
    data.setBigUint64(16 + 8 * index, BigInt.asUintN(64, value), true);
  const code = new DataView(filter.buffer, filter.byteOffset, filter.byteLength);
  let a = 0;
  for (let at = 0; ; at++) {
    assert.ok(at * 8 < filter.length, "a filter runs past its end");
    const operation = code.getUint16(at * 8, true);
    const k = code.getUint32(at * 8 + 4, true);
    const jump = (test: boolean) => code.getUint8(at * 8 + (test ? 2 : 3));
    if (operation === 0x06) return k;
    if (operation === 0x20) a = data.getUint32(k, true);
    else if (operation === 0x54) a = (a & k) >>> 0;
    else if (operation === 0x05) at += k;
    else if (operation === 0x15) at += jump(a === k);
    else if (operation === 0x25) at += jump(a > k);
    else if (operation === 0x35) at += jump(a >= k);
    else assert.fail(`instruction ${operation.toString(16)}`);
  }
}
