// The types that an Any in JSON may hold: all that the contracts of the services know.
import { createRegistry, type DescFile, type Registry } from "@bufbuild/protobuf";

/**
 * A registry of files and everything they import. A service alone would not do: what its Operation packs is said by
 * google.longrunning.operation_info in words, and no request or response refers to it.
 */
export function registryOfFiles(files: readonly DescFile[]): Registry {
  const all = new Set<DescFile>();
  const add = (file: DescFile) => {
    if (!all.has(file)) {
      all.add(file);
      file.dependencies.forEach(add);
    }
  };
  files.forEach(add);
  return createRegistry(...all);
}
