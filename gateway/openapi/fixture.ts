// A contract with every kind of field, rule and annotation, compiled by buf, for the tests of this module.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorSet, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const root = resolve(import.meta.dirname, "../..");

/** Compiles a proto file (`test/v1/library.proto`) against the vendored imports; the set has its comments. */
export function compile(source: string): FileDescriptorSet {
  const folder = mkdtempSync(join(tmpdir(), "lampid-openapi-"));
  try {
    cpSync(join(root, "proto/vendor"), join(folder, "vendor"), { recursive: true });
    mkdirSync(join(folder, "proto/test/v1"), { recursive: true });
    writeFileSync(join(folder, "proto/test/v1/library.proto"), source);
    writeFileSync(join(folder, "buf.yaml"), "version: v2\nmodules:\n  - path: proto\n  - path: vendor\n");
    const image = join(folder, "image.binpb");
    const { status, stderr } = spawnSync(join(root, "node_modules/.bin/buf"), ["build", "-o", image], {
      cwd: folder,
      encoding: "utf8",
    });
    if (status !== 0) {
      throw new Error(stderr);
    }
    return fromBinary(FileDescriptorSetSchema, readFileSync(image));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The present contracts of the repository, with their comments. */
export function compileContracts(): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "lampid-openapi-"));
  try {
    const image = join(folder, "image.binpb");
    const { status, stderr } = spawnSync(join(root, "node_modules/.bin/buf"), ["build", "-o", image], {
      cwd: root,
      encoding: "utf8",
    });
    if (status !== 0) {
      throw new Error(stderr);
    }
    return readFileSync(image);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const library = `
// Books, and who wrote them.
syntax = "proto3";
package test.v1;

import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "google/api/httpbody.proto";
import "google/protobuf/any.proto";
import "google/protobuf/descriptor.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

extend google.protobuf.MethodOptions {
  int32 status_of_success = 50999;
}

// Library lends books. Of all kinds.
service Library {
  // CreateBook stores a book. Returns ALREADY_EXISTS
  // if there is one, e.g. with its ISBN.
  rpc CreateBook(CreateBookRequest) returns (CreateBookResponse) {
    option (status_of_success) = 201;
    option (google.api.http) = {
      post: "/v1/shelves/{shelf}/books"
      body: "book"
      response_body: "book"
      additional_bindings { post: "/books" body: "*" }
    };
  }
  // GetBook reads one.
  rpc GetBook(GetBookRequest) returns (Book) {
    option (google.api.http) = {get: "/v1/{name=shelves/*/books/*}"};
  }
  // DeleteBook forgets one.
  rpc DeleteBook(GetBookRequest) returns (google.protobuf.Empty) {
    option deprecated = true;
    option (google.api.http) = {delete: "/v1/{name=shelves/*/books/*}"};
  }
  // LendBook lends one.
  rpc LendBook(LendBookRequest) returns (Book) {
    option (google.api.http) = {post: "/v1/{name=books/*}:lend" body: "*"};
  }
  // ListBooks finds books.
  rpc ListBooks(ListBooksRequest) returns (ListBooksResponse) {
    option (google.api.http) = {get: "/v1/books" response_body: "books"};
  }
  // UpdateBook changes one.
  rpc UpdateBook(UpdateBookRequest) returns (Book) {
    option (google.api.http) = {patch: "/v1/{book.name=books/*}" body: "book"};
  }
  // WatchBooks tells of new ones.
  rpc WatchBooks(ListBooksRequest) returns (stream Book) {
    option (google.api.http) = {get: "/v1/books:watch"};
  }
  // Ping is for anyone.
  rpc Ping(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (google.api.http) = {post: "/ping" body: "*"};
  }
  // Browse walks a tree.
  rpc Browse(BrowseRequest) returns (Everything) {
    option (google.api.http) = {
      custom {kind: "*" path: "/v1/browse/{path=**}"}
      additional_bindings {custom {kind: "REPORT" path: "/v1/browse"}}
    };
  }
  // DownloadCover gives a picture.
  rpc DownloadCover(GetBookRequest) returns (google.api.HttpBody) {
    option (google.api.http) = {get: "/v1/{name=shelves/*/books/*}:cover"};
  }
  // UploadCover takes a picture.
  rpc UploadCover(UploadCoverRequest) returns (google.protobuf.Empty) {
    option (google.api.http) = {put: "/v1/{name=books/*}:cover" body: "cover"};
  }
  // Hidden has no rule.
  rpc Hidden(google.protobuf.Empty) returns (google.protobuf.Empty);
}

// Genre is what a book is sold as.
enum Genre {
  // Not said.
  GENRE_UNSPECIFIED = 0;
  // A novel.
  GENRE_NOVEL = 1;
  GENRE_POEMS = 2;
}

// Book is a book.
message Book {
  // Resource name, "books/{uuid}".
  string name = 1;
  // Title.
  string title = 2 [(google.api.field_behavior) = REQUIRED];
  // Sales.
  int64 copies_sold = 3 [(google.api.field_behavior) = OUTPUT_ONLY];
  // Who wrote it.
  Author author = 4;
  // What comes after.
  repeated Book sequels = 5;
  // Version.
  string etag = 6;
  // Old number.
  string sbn = 7 [deprecated = true];
  // Secret of the writer.
  string secret = 8 [(google.api.field_behavior) = INPUT_ONLY];
}

// Author is a person.
message Author {
  // Name.
  string full_name = 1;
  // Who taught them.
  Author mentor = 2;
}

message CreateBookRequest {
  // A key.
  string request_id = 1 [(buf.validate.field) = {ignore: IGNORE_IF_ZERO_VALUE string: {uuid: true}}];
  // The shelf, "fiction".
  string shelf = 2 [(buf.validate.field).string.min_len = 1];
  // The book.
  Book book = 3 [(buf.validate.field).required = true];
  // Whether to check only.
  bool validate_only = 4;
}

message CreateBookResponse {
  // The stored book.
  Book book = 1;
}

message GetBookRequest {
  // "shelves/fiction/books/{uuid}".
  string name = 1 [(buf.validate.field).string.pattern = "^shelves/[a-z]+/books/[0-9a-f-]{36}$"];
}

message LendBookRequest {
  string name = 1 [(buf.validate.field).string.pattern = "^books/[0-9]{4}$"];
  // To whom.
  oneof borrower {
    option (buf.validate.oneof).required = true;
    // By card.
    string card = 2;
    // By mail.
    string mail = 3 [(buf.validate.field).string.email = true];
  }
  oneof until {
    google.protobuf.Timestamp time = 4;
    google.protobuf.Duration span = 5;
  }
}

message ListBooksRequest {
  // Words of the title.
  repeated string words = 1 [(buf.validate.field).repeated = {max_items: 3 unique: true items: {string: {min_len: 2}}}];
  Genre genre = 2 [(buf.validate.field).enum = {defined_only: true not_in: [0]}];
  repeated Genre genres = 3;
  Author author = 4;
  google.protobuf.Timestamp since = 5;
  google.protobuf.FieldMask read_mask = 6;
  google.protobuf.Int64Value least = 7;
  // No text in a URL can say it.
  google.protobuf.Struct extra = 8;
  map<string, string> labels = 9;
  int32 page_size = 10 [(buf.validate.field).int32 = {gte: 0 lte: 500}];
}

message ListBooksResponse {
  // Books, by title.
  repeated Book books = 1;
}

message UpdateBookRequest {
  Book book = 1;
  google.protobuf.FieldMask update_mask = 2;
}

message UploadCoverRequest {
  string name = 1;
  google.api.HttpBody cover = 2;
}

message BrowseRequest {
  string path = 1;
}

// Everything there is.
message Everything {
  double a_double = 1;
  float a_float = 2 [(buf.validate.field).float = {gt: 0 lt: 1}];
  int32 an_int32 = 3 [(buf.validate.field).int32 = {gte: 10 lt: 20}];
  int64 an_int64 = 4 [(buf.validate.field).int64.gte = 5];
  uint32 an_uint32 = 5 [(buf.validate.field).uint32.gt = 7];
  uint64 an_uint64 = 6;
  bool a_bool = 7;
  string a_string = 8 [(buf.validate.field).string = {min_len: 2 max_len: 40 prefix: "a" suffix: "z" not_in: ["abz"]}];
  bytes some_bytes = 9 [(buf.validate.field).bytes = {min_len: 4 max_len: 6}];
  Genre genre = 10;
  repeated int32 numbers = 11 [(buf.validate.field).repeated = {min_items: 2 unique: true items: {int32: {gte: 3}}}];
  map<int32, Author> authors = 12 [(buf.validate.field).map = {min_pairs: 1 max_pairs: 5}];
  map<string, int32> counts = 13 [(buf.validate.field).map = {keys: {string: {pattern: "^[a-z]{3}$"}} values: {int32: {gt: 0}}}];
  google.protobuf.Timestamp time = 14;
  google.protobuf.Duration span = 15 [(buf.validate.field).duration.gte = {seconds: 60}];
  google.protobuf.FieldMask mask = 16;
  google.protobuf.Struct struct = 17;
  google.protobuf.Value value = 18;
  google.protobuf.ListValue list = 19;
  google.protobuf.Any any = 20;
  google.protobuf.BoolValue wrapped_bool = 21;
  google.protobuf.StringValue wrapped_string = 22 [(buf.validate.field).string.max_len = 9];
  google.protobuf.Int64Value wrapped_int64 = 23;
  google.protobuf.DoubleValue wrapped_double = 24;
  google.protobuf.BytesValue wrapped_bytes = 25;
  google.protobuf.NullValue nothing = 26;
  google.protobuf.Empty empty = 27;
  string uuid = 28 [(buf.validate.field).string.uuid = true];
  string email = 29 [(buf.validate.field).string.email = true];
  string ip = 30 [(buf.validate.field).string.ip = true];
  string shown = 31 [(buf.validate.field).string = {pattern: "^[A-Z]{2}$" example: "ID"}];
  string chosen = 32 [(buf.validate.field).string = {in: ["red", "blue"]}];
  int32 checked = 33 [(buf.validate.field).cel = {id: "even" message: "must be even" expression: "this % 2 == 0"}];
  optional string maybe = 34 [(buf.validate.field).string.min_len = 3];
  string unruled = 35 [(buf.validate.field) = {ignore: IGNORE_ALWAYS string: {min_len: 3}}];
}
`;
