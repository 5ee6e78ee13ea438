import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { readConfig } from "./start.ts";
import { sampleNik, welcome } from "./welcome.ts";

const START = join(import.meta.dirname, "start.ts");

function run(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; out: string; err: string }> {
  return new Promise((done) => {
    execFile(
      process.execPath,
      [START, ...args],
      { env: { PATH: process.env.PATH ?? "", ...env } },
      (error, out, err) => done({ code: Number(error?.code ?? 0), out, err }),
    );
  });
}

describe("the configuration of npm start", () => {
  test("everything has a default", () => {
    const config = readConfig([], {});
    assert.ok(config !== "help");
    assert.equal(config.portOffset, 0);
    assert.equal(config.host, "127.0.0.1");
    assert.match(config.dataDir, /\/\.lampid$/);
  });

  const refused: [what: string, args: string[], env: Record<string, string>, line: RegExp][] = [
    [
      "an offset that is no number",
      [],
      { LAMPID_PORT_OFFSET: "abc" },
      /^LAMPID_PORT_OFFSET: .*0 to 10000.*"abc"$/,
    ],
    ["an offset beyond the ports", [], { LAMPID_PORT_OFFSET: "10001" }, /^LAMPID_PORT_OFFSET/],
    ["a negative offset", [], { LAMPID_PORT_OFFSET: "-1" }, /^LAMPID_PORT_OFFSET/],
    ["a host that is no address", [], { LAMPID_HOST: "not a host" }, /^LAMPID_HOST: expected an IP address/],
    [
      "the default password beyond loopback",
      [],
      { LAMPID_HOST: "0.0.0.0" },
      /^LAMPID_HOST: .*LAMPID_DEMO_PASSWORD/,
    ],
    ["an unknown profile", [], { LAMPID_PROFILE: "cloud" }, /^LAMPID_PROFILE: .*embedded, cluster/],
    ["an unknown flag", ["--fast"], {}, /^Unknown option '--fast'/],
    ["an argument", ["now"], {}, /^Unexpected argument 'now'/],
  ];
  for (const [what, args, env, line] of refused) {
    test(`${what} is refused in one line`, () => {
      assert.throws(
        () => readConfig(args, env),
        (error: Error) => line.test(error.message) && !error.message.includes("\n"),
      );
    });
  }

  test("the cluster profile is chosen by its flag or its variable", () => {
    const profile = (args: string[], env: Record<string, string>) => {
      const config = readConfig(args, env);
      return config === "help" ? config : config.profile;
    };
    assert.equal(profile([], {}), "embedded");
    assert.equal(profile(["--cluster"], {}), "cluster");
    assert.equal(profile([], { LAMPID_PROFILE: "cluster" }), "cluster");
  });

  test("engines that do not run are named, one line each, with their setting", async () => {
    const { code, err } = await run(["--cluster"], {
      LAMPID_POSTGRES_URL: "postgres://postgres:geheim@127.0.0.1:1/postgres",
      LAMPID_KAFKA_BROKERS: "127.0.0.1:1",
      LAMPID_MONGO_URL: "mongodb://lampid:geheim@127.0.0.1:1/statistik",
      LAMPID_ISSUER_URL: "http://127.0.0.1:1/realms/lampid",
    });
    assert.equal(code, 1);
    const lines = err.trim().split("\n");
    assert.equal(lines.length, 4, err);
    for (const setting of [
      "LAMPID_POSTGRES_URL",
      "LAMPID_KAFKA_BROKERS",
      "LAMPID_MONGO_URL",
      "LAMPID_ISSUER_URL",
    ])
      assert.equal(lines.filter((line) => line.includes(setting)).length, 1, err);
    assert.ok(!err.includes("geheim"));
  });

  test("another password may be used beyond loopback", () => {
    const config = readConfig([], { LAMPID_HOST: "0.0.0.0", LAMPID_DEMO_PASSWORD: "another" });
    assert.ok(config !== "help");
    assert.equal(config.host, "0.0.0.0");
  });

  test("the command ends with 1 and that one line alone", async () => {
    const { code, out, err } = await run([], { LAMPID_PORT_OFFSET: "x" });
    assert.equal(code, 1);
    assert.equal(out, "");
    assert.equal(err, 'LAMPID_PORT_OFFSET: expected an integer from 0 to 10000, found "x"\n');
  });

  test("--help prints the variables and ends with 0", async () => {
    const { code, out } = await run(["--help"]);
    assert.equal(code, 0);
    assert.match(out, /LAMPID_PORT_OFFSET/);
  });

  test("a data folder that cannot be one is named", async () => {
    const { code, err } = await run(["--only", "auth"], {
      LAMPID_DATA_DIR: "/dev/null/x",
      LAMPID_PORT_OFFSET: "6793",
    });
    assert.equal(code, 1);
    assert.match(err, /^(LAMPID_DATA_DIR: .*\/dev\/null\/x|services\/auth\/main.ts).*\n$/);
  });
});

describe("what is printed when the mesh is ready", () => {
  const text = welcome({
    urls: { gateway: "http://127.0.0.1:9", penduduk: "http://127.0.0.1:10" },
    postgres: "127.0.0.1:5432",
    password: "it's",
    seconds: 4.21,
    dataDir: "/data",
    random: () => 0.5,
  });

  test("it says ready, and how long it took", () => assert.match(text, /^ready in 4\.2 s\n/));

  test("a quote in the password does not break the commands", () => assert.match(text, /"it'\\''s"/));

  test("the resident of the example has a NIK of the operator's kecamatan and a possible birth date", () => {
    assert.equal(
      sampleNik(() => 0),
      "3201014101600001",
    );
    assert.equal(
      sampleNik(() => 0.999),
      "3201016812990020",
    );
  });
});
