import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decideMerge, type HubState, type LocalState } from "./merge.ts";

const hub = (fields: Partial<HubState> = {}): HubState => ({ idHub: 7, versi: 5, peristiwa: "", ...fields });
const local = (fields: Partial<LocalState> = {}): LocalState => ({
  idHub: 7,
  versi: 4,
  perubahanLokal: undefined,
  ...fields,
});

describe("a row of the hub", () => {
  test("is inserted when nobody has its NIK", () => {
    assert.equal(decideMerge(hub(), undefined), "insert");
  });

  test("updates an older state, leaves the same, and is stale beside a newer one", () => {
    assert.equal(decideMerge(hub(), local({ versi: 4 })), "update");
    assert.equal(decideMerge(hub(), local({ versi: 5 })), "unchanged");
    assert.equal(decideMerge(hub(), local({ versi: 6 })), "stale");
  });
});

describe("a change made here", () => {
  const pending = local({ perubahanLokal: "e1" });

  test("is never overwritten by a row that does not acknowledge it", () => {
    assert.equal(decideMerge(hub(), pending), "conflict");
    assert.equal(decideMerge(hub({ peristiwa: "e0" }), pending), "conflict");
    assert.equal(decideMerge(hub(), local({ perubahanLokal: "e1", idHub: undefined, versi: 0 })), "conflict");
  });

  test("gives way to the row that acknowledges it, and to a person's word", () => {
    assert.equal(decideMerge(hub({ peristiwa: "e1" }), pending), "update");
    assert.equal(decideMerge(hub(), pending, "paksa"), "update");
  });

  test("does not make a row conflict that says nothing new", () => {
    assert.equal(decideMerge(hub({ versi: 4 }), pending), "unchanged");
    assert.equal(decideMerge(hub({ versi: 3 }), pending), "stale");
  });

  test("by a person's correction holds against any state", () => {
    assert.equal(decideMerge(hub({ versi: 1 }), pending, "koreksi"), "update");
    assert.equal(decideMerge(hub({ versi: 1 }), undefined, "koreksi"), "insert");
  });
});

describe("of two rows with one NIK", () => {
  test("the one registered first is kept, whichever comes first and whatever their versions", () => {
    for (const versi of [3, 4, 5]) {
      assert.equal(decideMerge(hub({ idHub: 8, versi }), local()), "duplicate");
      assert.equal(decideMerge(hub({ idHub: 6, versi }), local()), "replace");
    }
  });

  test("the first does not take a resident with a change that it does not acknowledge", () => {
    assert.equal(decideMerge(hub({ idHub: 6 }), local({ perubahanLokal: "e1" })), "conflict");
  });
});
