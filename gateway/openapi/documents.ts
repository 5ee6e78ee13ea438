// The OpenAPI document of the REST routes, as JSON and as YAML.
import { stringify } from "yaml";
import type { Document } from "../documents.ts";

/** @param json text of the document, served as it is. */
export function openApiDocuments(json: string): Document[] {
  return [
    { path: "/openapi.json", contentType: "application/json", make: () => json },
    {
      path: "/openapi.yaml",
      contentType: "application/yaml",
      make: () => stringify(JSON.parse(json), { aliasDuplicateObjects: false }),
    },
  ];
}
