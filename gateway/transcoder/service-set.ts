// What the transcode command serves: descriptors and a service config, read from files, with errors that say what to do.
import { readFile } from "node:fs/promises";
import { createFileRegistry, type DescService, type FileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { HttpRuleConfig } from "./service-config.ts";

/** A reason that is the user's to know, without a stack. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Reads a FileDescriptorSet, as `buf build -o` and `protoc --include_imports --descriptor_set_out` write it. */
export async function readDescriptors(path: string): Promise<FileRegistry> {
  const bytes = await read(path, "--descriptors");
  try {
    return createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes));
  } catch (error) {
    throw new UsageError(
      `--descriptors ${path}: ${(error as Error).message} (it must be a FileDescriptorSet with all its imports: ` +
        "buf build -o, or protoc --include_imports --descriptor_set_out)",
    );
  }
}

/** The services of the given full names, or all of them; the order is that of the names, or of the files. */
export function chooseServices(registry: FileRegistry, names: readonly string[]): DescService[] {
  const all = [...registry.files].flatMap(({ services }) => services);
  return names.length === 0
    ? all
    : names.map((name) => {
        const found = all.find(({ typeName }) => typeName === name);
        if (found === undefined) {
          const known = all.map(({ typeName }) => typeName).join(", ");
          throw new UsageError(
            `--service ${name} is not among the descriptors, which have: ${known || "none"}`,
          );
        }
        return found;
      });
}

/** The `http.rules` of a google.api.Service in YAML or JSON. */
export async function readServiceConfig(path: string): Promise<readonly HttpRuleConfig[]> {
  const text = (await read(path, "--service-config")).toString("utf8");
  let config: { http?: { rules?: unknown } } | null;
  try {
    config = path.endsWith(".json") ? JSON.parse(text) : (await import("yaml")).parse(text);
  } catch (error) {
    throw new UsageError(`--service-config ${path}: ${(error as Error).message.split("\n")[0]}`);
  }
  const rules = config?.http?.rules;
  if (!Array.isArray(rules)) {
    throw new UsageError(`--service-config ${path}: has no list http.rules`);
  }
  return rules;
}

async function read(path: string, option: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UsageError(`${option} ${path}: ${code === "ENOENT" ? "there is no such file" : message}`);
  }
}
