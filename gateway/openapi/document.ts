// The parts of an OpenAPI 3.1 document that this module writes, as types.
import type { JsonValue } from "@bufbuild/protobuf";

/** A schema of JSON Schema 2020-12, with the keywords that this module writes. */
export interface JsonSchema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  title?: string;
  description?: string;
  enum?: JsonValue[];
  const?: JsonValue;
  pattern?: string;
  contentEncoding?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minProperties?: number;
  maxProperties?: number;
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  propertyNames?: JsonSchema;
  additionalProperties?: JsonSchema | boolean;
  allOf?: JsonSchema[];
  anyOf?: JsonSchema[];
  not?: JsonSchema;
  readOnly?: boolean;
  writeOnly?: boolean;
  deprecated?: boolean;
}

export interface Ref {
  $ref: string;
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  description?: string;
  required?: boolean;
  deprecated?: boolean;
  schema: JsonSchema;
  example?: JsonValue;
}

export interface MediaType {
  schema: JsonSchema;
  example?: JsonValue;
  examples?: Record<string, { summary: string; value: JsonValue }>;
}

export interface Response {
  description: string;
  headers?: Record<string, { description: string; schema: JsonSchema } | Ref>;
  content?: Record<string, MediaType>;
}

export interface Operation {
  operationId: string;
  tags: string[];
  summary: string;
  description?: string;
  deprecated?: boolean;
  security?: Record<string, string[]>[];
  parameters?: (Parameter | Ref)[];
  requestBody?: { description?: string; required: boolean; content: Record<string, MediaType> };
  responses: Record<string, Response | Ref>;
}

/** Operations by lower-case HTTP method; those of a method that OpenAPI does not know are an extension. */
export type PathItem = Record<string, Operation | Record<string, Operation>>;

export interface Info {
  readonly title: string;
  readonly version: string;
  readonly description?: string;
  /** `identifier` is an SPDX expression. */
  readonly license?: { readonly name: string; readonly identifier: string };
}

export interface OpenApiDocument {
  openapi: "3.1.1";
  info: Info;
  servers: readonly { url: string; description?: string }[];
  security: Record<string, string[]>[];
  tags: { name: string; description: string }[];
  paths: Record<string, PathItem>;
  components: {
    schemas: Record<string, JsonSchema>;
    responses: Record<string, Response>;
    parameters: Record<string, Parameter>;
    headers: Record<string, { description: string; schema: JsonSchema }>;
    securitySchemes: Record<string, Record<string, string>>;
  };
}
