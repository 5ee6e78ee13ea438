import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Authority,
  checkAuthority,
  mayGiveRole,
  ROLES,
  whyNotAdminister,
  wilayahPath,
} from "./account.ts";
import { checkNewPassword } from "./password.ts";

const known = ["32", "32.01", "32.01.01", "32.01.01.1006"];
const reasons = (role: Authority["role"], wilayah: string) =>
  checkAuthority({ role, wilayah }, (kode) => known.includes(kode)).map(({ reason }) => reason);

test("a role and its wilayah are of one level", () => {
  const fitting: Record<Authority["role"], string> = {
    operator: "32.01.01.1006",
    supervisor: "32.01.01",
    admin_kota: "32.01",
    admin_pusat: "ID",
    auditor: "ID",
  };
  for (const role of ROLES) {
    for (const wilayah of [...known, "ID"]) {
      assert.deepEqual(
        reasons(role, wilayah),
        wilayah === fitting[role] ? [] : ["WILAYAH_LEVEL"],
        `${role} ${wilayah}`,
      );
    }
  }
});

test("a wilayah that no list knows is refused, whatever its level", () => {
  assert.deepEqual(reasons("operator", "32.01.01.9999"), ["WILAYAH_UNKNOWN"]);
  assert.deepEqual(reasons("admin_kota", "99.01"), ["WILAYAH_UNKNOWN"]);
  assert.deepEqual(reasons("operator", "99"), ["WILAYAH_UNKNOWN"]);
  assert.deepEqual(reasons("operator", ""), ["WILAYAH_UNKNOWN"]);
});

test("the path of a wilayah names it and all that contain it", () => {
  assert.deepEqual(wilayahPath("32.01.01.1006"), ["32", "32.01", "32.01.01", "32.01.01.1006"]);
  assert.deepEqual(wilayahPath("32"), ["32"]);
  assert.deepEqual(wilayahPath("ID"), ["ID"]);
});

test("an admin kota gives the roles below their own, an admin pusat all, others none", () => {
  const given = (role: string) => ROLES.filter((each) => mayGiveRole({ role }, each));
  assert.deepEqual(given("admin_kota"), ["operator", "supervisor"]);
  assert.deepEqual(given("admin_pusat"), [...ROLES]);
  for (const role of ["operator", "supervisor", "auditor", "mitra", "service", ""]) {
    assert.deepEqual(given(role), [], role);
  }
});

test("nobody administers their own account, nor an admin kota another admin", () => {
  const kota = { subject: "a", role: "admin_kota" };
  const pusat = { subject: "b", role: "admin_pusat" };
  assert.equal(whyNotAdminister(kota, { id: "x", role: "operator" }), undefined);
  assert.equal(whyNotAdminister(kota, { id: "x", role: "admin_kota" }), "role");
  assert.equal(whyNotAdminister(kota, { id: "a", role: "admin_kota" }), "own_account");
  assert.equal(whyNotAdminister(pusat, { id: "b", role: "admin_pusat" }), "own_account");
  assert.equal(whyNotAdminister(pusat, { id: "x", role: "admin_pusat" }), undefined);
});

test("a new password is long enough, is not the username, and is a new one", () => {
  const problem = (password: string) =>
    checkNewPassword({ password, username: "siti.nurhaliza", before: "awal-awal-awal" });
  assert.equal(problem("dua belas ok"), undefined);
  assert.equal(problem("sebelas ok!"), "short");
  assert.equal(problem("x".repeat(257)), "long");
  assert.equal(problem("Siti.Nurhaliza"), "username");
  assert.equal(problem("awal-awal-awal"), "unchanged");
  assert.equal(problem("dua belas\0 ok"), "control_character");
  // Twelve characters as a person counts them: an é typed as two code points is one.
  assert.equal(problem("re\u0301sume\u0301 re\u0301"), "short");
});
