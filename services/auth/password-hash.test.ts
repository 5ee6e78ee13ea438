import assert from "node:assert/strict";
import { test } from "node:test";
import { HasherBusy, passwordHasher } from "./password-hash.ts";

const cost = { ln: 4, r: 8, p: 1 };
const hasher = passwordHasher({ cost });

test("a password fits its own hash and no other", async () => {
  const stored = await hasher.hash("rahasia");
  assert.match(stored, /^\$scrypt\$ln=4,r=8,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
  assert.equal(await hasher.verify("rahasia", stored), true);
  for (const wrong of ["", "Rahasia", "rahasia ", "rahasia\0"]) {
    assert.equal(await hasher.verify(wrong, stored), false, JSON.stringify(wrong));
  }
});

test("the same password never has the same hash twice", async () => {
  assert.notEqual(await hasher.hash("rahasia"), await hasher.hash("rahasia"));
});

test("a hash made with other parameters still verifies", async () => {
  const older = await passwordHasher({ cost: { ln: 5, r: 4, p: 2 } }).hash("rahasia");
  assert.equal(await hasher.verify("rahasia", older), true);
});

test("the RFC 7914 test vector verifies", async () => {
  const hash = Buffer.from(
    "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
    "hex",
  );
  const stored = `$scrypt$ln=10,r=8,p=16$${btoa("NaCl")}$${hash.toString("base64")}`.replace(
    /=+(?=\$|$)/g,
    "",
  );
  assert.equal(await hasher.verify("password", stored), true);
});

test("one character typed in two ways is one password", async () => {
  assert.equal(await hasher.verify("re\u0301sume\u0301", await hasher.hash("r\u00e9sum\u00e9")), true);
});

test("without a stored hash it says no, after as much work", async () => {
  const slow = passwordHasher();
  const stored = await slow.hash("rahasia");
  const time = async (hash: string | undefined) => {
    const start = performance.now();
    assert.equal(await slow.verify("salah", hash), false);
    return performance.now() - start;
  };
  await time(stored);
  const [known, unknown] = [await time(stored), await time(undefined)];
  assert.ok(unknown > known / 4, `${unknown} ms for nobody, ${known} ms for somebody`);
});

test("a flood is turned away at once, and the event loop lives on", async () => {
  const bounded = passwordHasher({ concurrency: 1, maxWaiting: 3 });
  const stored = await hasher.hash("rahasia");
  let ticks = 0;
  const ticking = setInterval(() => ticks++, 5);
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, () => bounded.verify("rahasia", undefined)),
  );
  clearInterval(ticking);
  const refused = results.filter((result) => result.status === "rejected");
  assert.equal(refused.length, 16);
  assert.ok(refused.every(({ reason }) => reason instanceof HasherBusy));
  assert.ok(ticks > 10, `${ticks} ticks`);
  assert.equal(await bounded.verify("rahasia", stored), true);
});

test("a damaged hash is an error, not a wrong password", async () => {
  await assert.rejects(hasher.verify("rahasia", "rahasia"), /expected form/);
});
