import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runFilter } from "../../../../test/bpf-machine.ts";
import { Assembler } from "./bpf.ts";

describe("Assembler", () => {
  it("jumps further than a byte reaches", () => {
    const code = new Assembler();
    const far = code.ret(1);
    for (let i = 0; i < 400; i++) code.jump("jeq", i, code.ret(2), code.ret(2));
    code.jump("jeq", 7, far, code.ret(3));
    code.load(0);
    const filter = code.assemble();

    assert.equal(runFilter(filter, { arch: 0, number: 7 }), 1);
    assert.equal(runFilter(filter, { arch: 0, number: 8 }), 3);
  });
});
