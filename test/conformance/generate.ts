/** Generates gen/ from the protos in the conformance Go module. `node test/conformance/generate.ts`; needs go. */

import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const bin = join(root, "node_modules/.bin");
const { Dir: module } = JSON.parse(
  run("go", ["mod", "download", "-json", "connectrpc.com/conformance@v1.0.6"]),
) as { Dir: string };
const template = {
  version: "v2",
  clean: true,
  inputs: [
    {
      directory: join(module, "proto"),
      paths: ["service", "config", "client_compat", "server_compat"].map((name) =>
        join(module, "proto/connectrpc/conformance/v1", `${name}.proto`),
      ),
    },
  ],
  plugins: [
    {
      local: join(bin, "protoc-gen-es"),
      out: join(import.meta.dirname, "gen"),
      opt: ["target=ts", "import_extension=ts", "erasable_syntax=true"],
    },
  ],
};
run(join(bin, "buf"), ["generate", "--template", JSON.stringify(template)]);

function run(command: string, args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", cwd: root });
  if (status !== 0) {
    console.error(`${command} failed: ${error?.message ?? stderr}`);
    process.exit(1);
  }
  return stdout;
}
