// What others say of a document, for the tests: two validators of OpenAPI, and JSON Schema on its examples.
import type { JsonValue } from "@bufbuild/protobuf";
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { MediaType, OpenApiDocument } from "./document.ts";

/** What is wrong by the schema of OpenAPI 3.1 itself. */
export async function specificationProblems(document: OpenApiDocument): Promise<unknown[]> {
  const { valid, errors } = await new Validator().validate(structuredClone(document) as never);
  return valid ? [] : [errors];
}

/** What Redocly's strictest rules say. */
export async function lintProblems(document: OpenApiDocument): Promise<string[]> {
  const config = await createConfig({ extends: ["recommended-strict"] });
  const source = JSON.stringify(document);
  const problems = await lintFromString({ source, absoluteRef: "openapi.json", config });
  return problems.map(({ ruleId, message, location }) => `${ruleId}: ${message} ${location[0]?.pointer}`);
}

/** Every example that its schema refuses. */
export function exampleProblems(document: OpenApiDocument): string[] {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  // Of the format registry of OpenAPI; the pattern or the bounds beside them say the same.
  ajv.addFormat("uint32", true);
  ajv.addFormat("uint64", true);
  ajv.addSchema({ $id: "doc", components: document.components as never });
  const problems: string[] = [];
  const check = (at: string, schema: object, value: JsonValue) => {
    const refs = JSON.stringify(schema).replaceAll('"#/components/', '"doc#/components/');
    const validate = ajv.compile(JSON.parse(refs));
    if (!validate(value)) {
      problems.push(`${at}: ${ajv.errorsText(validate.errors)}`);
    }
  };
  for (const { at, part } of examplesOf(document, "#")) {
    const { schema, example, examples } = part;
    if (example !== undefined) check(at, schema, example);
    for (const [name, { value }] of Object.entries(examples ?? {})) check(`${at}/${name}`, schema, value);
  }
  return problems;
}

/** Every media type and parameter that has an example. */
export function examplesOf(node: unknown, at: string): { at: string; part: MediaType }[] {
  if (typeof node !== "object" || node === null) {
    return [];
  }
  const part = node as MediaType;
  const isPart = part.schema !== undefined && (part.example !== undefined || part.examples !== undefined);
  return isPart
    ? [{ at, part }]
    : Object.entries(node).flatMap(([key, child]) => examplesOf(child, `${at}/${key}`));
}
