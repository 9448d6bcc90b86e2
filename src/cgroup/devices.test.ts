import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type DeviceRule, defaultDeviceRules, deviceChoice, deviceWrites } from "./devices.ts";

const all: DeviceRule = { allow: true, access: "rwm" };
const fuse: DeviceRule = { allow: true, type: "c", major: 10, minor: 229, access: "rwm" };

describe("deviceChoice", () => {
  const choice = (rules: readonly DeviceRule[] | undefined) => deviceChoice(rules, defaultDeviceRules);

  it("shares the usual list, in whatever order its allowances stand", () => {
    const [deny, ...allowances] = defaultDeviceRules;
    assert.ok(deny !== undefined);
    assert.equal(choice(defaultDeviceRules), "usual");
    assert.equal(choice([deny, ...allowances.toReversed()]), "usual");
  });

  it("gives any other list a group of its own", () => {
    assert.equal(choice([...defaultDeviceRules, fuse]), "own");
    assert.equal(choice([{ allow: false }]), "own");
    assert.equal(choice([...defaultDeviceRules, { ...fuse, allow: false }]), "own");
  });

  it("knows the lists that allow everything or say nothing", () => {
    assert.equal(choice([all]), "all");
    assert.equal(choice([{ allow: false }, { allow: true, type: "a" }]), "all");
    assert.equal(choice([all, { allow: false, type: "c", major: 1, minor: 1 }]), "own");
    assert.equal(choice([{ allow: true, access: "r" }]), "own");
    assert.equal(choice([]), "inherit");
    assert.equal(choice(undefined), "inherit");
  });
});

describe("deviceWrites", () => {
  it("spells rules as the kernel reads them", () => {
    const rules: readonly DeviceRule[] = [
      { allow: false, access: "rwm" },
      { allow: true, type: "c", major: 136, access: "rwm" },
      fuse,
    ];
    assert.deepEqual(
      deviceWrites(rules).map(({ file, value }) => `${file}: ${value}`),
      ["devices.deny: a", "devices.allow: c 136:* rwm", "devices.allow: c 10:229 rwm"],
    );
  });
});
