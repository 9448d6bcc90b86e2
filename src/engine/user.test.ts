import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { resolveUser } from "./user.ts";

const files = {
  passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/sh\n# comment\n\n",
  group: "root:x:0:\nwww:x:34:\nlog:x:4:root,web\n",
};

describe("resolveUser", () => {
  it("takes root where nothing is named, with its home", () => {
    assert.deepEqual(resolveUser("", files), { uid: 0, gid: 0, groups: [4], home: "/root" });
  });

  it("takes a name's own group and all groups that list it", () => {
    assert.deepEqual(resolveUser("web", files), { uid: 33, gid: 34, groups: [4], home: "/srv" });
  });

  it("takes a number without an entry as it is", () => {
    assert.deepEqual(resolveUser("1234", files), { uid: 1234, gid: 0, groups: [], home: "/" });
  });

  it("takes a named group alone, without the user's other groups", () => {
    assert.deepEqual(resolveUser("web:log", files), { uid: 33, gid: 4, groups: [], home: "/srv" });
  });

  it("adds groups by name and number", () => {
    assert.deepEqual(resolveUser("1:2", files, ["www", "77"]).groups, [34, 77]);
  });

  it("works for an image without account files", () => {
    assert.deepEqual(resolveUser("", { passwd: "", group: "" }), { uid: 0, gid: 0, groups: [], home: "/" });
  });

  it("refuses a name that isn't there, and a number out of range", () => {
    assert.throws(() => resolveUser("nobody", files), /unable to find user nobody/);
    assert.throws(() => resolveUser("0:nogroup", files), /unable to find group nogroup/);
    assert.throws(() => resolveUser("99999999999", files), /out of range/);
  });
});
