import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { flag } from "./flag.ts";
import { parseFlags } from "./parse-flags.ts";
import { UsageError } from "./usage-error.ts";

const flags = {
  interactive: flag.switch({ short: "i", help: "" }),
  tty: flag.switch({ short: "t", help: "" }),
  detach: flag.switch({ short: "d", help: "" }),
  rm: flag.switch({ help: "" }),
  sigProxy: flag.switch({ initial: true, help: "" }),
  publish: flag.list({ short: "p", help: "" }),
  env: flag.list({ short: "e", help: "" }),
  name: flag.string({ help: "" }),
  memory: flag.bytes({ short: "m", help: "" }),
  network: flag.string({ aliases: ["net"], help: "" }),
  logOpt: flag.map({ help: "" }),
};

const parse = (line: string) => parseFlags(line.split(" "), flags, true);

describe("parseFlags", () => {
  it("reads flags up to the first argument and leaves the rest to the program inside", () => {
    const { values, args } = parse("-itd -p80:80 -p 81 --name=x image ls -l --rm -- -i");

    assert.deepEqual(args, ["image", "ls", "-l", "--rm", "--", "-i"]);
    assert.equal(values.tty, true);
    assert.equal(values.detach, true);
    assert.equal(values.rm, false);
    assert.equal(values.name, "x");
    assert.deepEqual(values.publish, ["80:80", "81"]);
  });

  it("reads flags among the arguments where the command has no program", () => {
    const { values, args } = parseFlags(["a", "-i", "b", "--", "-t"], flags, false);

    assert.deepEqual(args, ["a", "b", "-t"]);
    assert.equal(values.interactive, true);
    assert.equal(values.tty, false);
  });

  for (const [line, name, expected] of [
    ["--rm=false x", "rm", false],
    ["--rm=true x", "rm", true],
    ["--sig-proxy=false x", "sigProxy", false],
    ["x", "sigProxy", true],
    ["-t=false x", "tty", false],
    ["-it=true x", "tty", true],
    ["-itp80 x", "publish", ["80"]],
    ["-e A=b -e C x", "env", ["A=b", "C"]],
    ["-e -t x", "env", ["-t"]],
    ["-e=A=b x", "env", ["=A=b"]],
    ["--net host x", "network", "host"],
    ["-m 1k x", "memory", 1024],
    ["--name -x y", "name", "-x"],
    ["--log-opt a=b --log-opt c=d=e x", "logOpt", { a: "b", c: "d=e" }],
    ["-- --rm", "rm", false],
  ] as const) {
    it(`reads ${line}`, () => {
      assert.deepEqual(parse(line).values[name], expected);
    });
  }

  it("takes what follows a double dash as arguments", () => {
    assert.deepEqual(parse("-i -- -x y").args, ["-x", "y"]);
  });

  for (const [line, message] of [
    ["--foo x", "unknown flag: --foo"],
    ["--foo=bar x", "unknown flag: --foo"],
    ["-itZx y", "unknown shorthand flag: 'Z' in -Zx"],
    ["--name", "flag needs an argument: --name"],
    ["-e", "flag needs an argument: 'e' in -e"],
    ["-m lots x", 'invalid argument "lots" for "-m, --memory" flag: invalid size: \'lots\''],
    ["--rm=perhaps x", 'invalid argument "perhaps" for "--rm" flag: "perhaps" is neither true nor false'],
  ] as const) {
    it(`refuses ${line}`, () => {
      assert.throws(
        () => parse(line),
        (error) => error instanceof UsageError && error.message === message && error.status === 125,
      );
    });
  }

  it("sees a wish for help", () => {
    assert.equal(parse("-i --help").help, true);
    assert.equal(parse("image --help").help, false);
  });
});
