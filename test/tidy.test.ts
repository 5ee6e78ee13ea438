// The house style that a machine can check (CONVENTIONS: style rules are a test).
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../services/mesh/processes.ts";

const files = globSync("{services,gateway,proto,test}/**/*.{ts,mjs}", { cwd: ROOT })
  .filter((path) => !path.includes("conformance/gen/") && !path.includes("transcoder/dist/"))
  .sort()
  .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
const code = files.filter(({ path }) => !path.endsWith(".test.ts"));
const imports = (text: string) =>
  [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1]!);

function offenders(
  among: typeof files,
  offends: (file: { path: string; text: string }) => boolean,
): string[] {
  return among.filter(offends).map(({ path }) => path);
}

test("a file opens with a comment on its purpose", () => {
  const opening = /^(#!.*\n)?\s*(\/\/|\/\*)/;
  assert.deepEqual(
    offenders(code, ({ text }) => !opening.test(text)),
    [],
  );
});

test("nothing reaches up three folders, and nothing is a barrel", () => {
  assert.deepEqual(
    offenders(files, ({ text }) => imports(text).some((name) => name.startsWith("../../.."))),
    [],
  );
  assert.deepEqual(
    offenders(code, ({ path }) => path.endsWith("/index.ts")),
    [],
  );
});

test("no process and no test beside it needs what lies in test/", () => {
  const outside = files.filter(({ path }) => !path.startsWith("test/"));
  const reaches = ({ path, text }: { path: string; text: string }) =>
    imports(text).some((name) => name.startsWith(".") && join(path, "..", name).startsWith("test/"));
  assert.deepEqual(offenders(outside, reaches), []);
});

test("the chassis imports no service, and no service imports another", () => {
  const owner = (path: string) => /^services\/([^/]+)\//.exec(path)?.[1];
  const foreign = ({ path, text }: { path: string; text: string }) =>
    imports(text)
      .filter((name) => name.startsWith("."))
      .map((name) => owner(join(path, "..", name)))
      .some((target) => target !== undefined && target !== owner(path));
  const services = code.filter(({ path }) => path.startsWith("services/") || path.startsWith("gateway/"));
  assert.deepEqual(offenders(services, foreign), []);
});

test("domain code does no input or output, reads no clock and knows no contract", () => {
  const domain = code.filter(({ path }) => path.includes("/domain/"));
  assert.ok(domain.length > 0);
  assert.deepEqual(
    offenders(domain, ({ text }) => imports(text).some((name) => /^(node:|pg$|#gen|#chassis)/.test(name))),
    [],
  );
  assert.deepEqual(
    offenders(domain, ({ text }) => /Date\.now\(|new Date\(\)|Math\.random\(/.test(text)),
    [],
  );
});

test("process.env is read by main.ts, the supervisor, and tools alone", () => {
  const readers = offenders(code, ({ text }) =>
    /process\.env/.test(text.replace(/\/\/.*|\/\*[\s\S]*?\*\//g, "")),
  );
  const allowed = /(^|\/)main\.ts$|^services\/mesh\/|^proto\/tools\/|^test\//;
  assert.deepEqual(
    readers.filter((path) => !allowed.test(path)),
    [],
  );
});

test("the transcoder depends on no service and on no contract of this project", () => {
  const transcoder = code.filter(({ path }) => path.startsWith("gateway/transcoder/"));
  assert.ok(transcoder.length > 0);
  const outside = (name: string) => /^#chassis|^\.\.\//.test(name) || /lampid/.test(name);
  assert.deepEqual(
    offenders(transcoder, ({ text }) => imports(text).some(outside)),
    [],
  );
});

test("no file is left unfinished", () => {
  assert.deepEqual(
    offenders(
      files.filter(({ path }) => path !== "test/tidy.test.ts"),
      ({ text }) => /\b(TODO|FIXME|XXX)\b|\.only\(/.test(text),
    ),
    [],
  );
});
