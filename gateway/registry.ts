// The types that an Any in JSON may hold: all that the contracts of the services know.
import { createRegistry, type DescFile, type Registry } from "@bufbuild/protobuf";

/**
 * A registry of files and everything they import. A service alone would not do: what its Operation packs is said by
 * google.longrunning.operation_info in words, and no request or response refers to it.
 */
export function registryOfFiles(files: readonly DescFile[]): Registry {
  return createRegistry(...filesOf(files));
}

/** Files and everything they import, each once and after its own imports. */
export function filesOf(files: readonly DescFile[]): DescFile[] {
  const all = new Set<DescFile>();
  const add = (file: DescFile) => {
    if (!all.has(file)) {
      file.dependencies.forEach(add);
      all.add(file);
    }
  };
  files.forEach(add);
  return [...all];
}
