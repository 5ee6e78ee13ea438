// Comments of a contract, from the source info of its descriptors, as text for people who do not read protobuf.
import type {
  DescriptorProto,
  EnumDescriptorProto,
  FileDescriptorProto,
  FileDescriptorSet,
} from "@bufbuild/protobuf/wkt";

/** The leading comment of what a descriptor describes (`desc.proto`), or "". */
export type CommentOf = (desc: { readonly proto: object }) => string;

/** Indexes the leading comments of all files. Without source info in the set, every comment is "". */
export function readComments(set: FileDescriptorSet): CommentOf {
  const comments = new Map<object, string>();
  for (const file of set.file) {
    indexFile(file, comments);
  }
  return ({ proto }) => comments.get(proto) ?? "";
}

/** The first sentence without its full stop, and what follows it. */
export function splitComment(text: string): { summary: string; rest: string } {
  // A stop ends a sentence where a capital, a bracket or a quote follows: "e.g. a" and "art. 58" go on.
  const sentence = /^[\s\S]*?[.!?](?=\s+[\p{Lu}("`*]|\s*$|\n\s*\n)/u.exec(text)?.[0];
  const paragraph = text.split(/\n\s*\n/, 1)[0]!;
  const first = sentence !== undefined && sentence.length <= paragraph.length ? sentence : paragraph;
  return {
    summary: first.replace(/\s+/g, " ").replace(/\.$/, ""),
    rest: text.slice(first.length).trim(),
  };
}

function indexFile(file: FileDescriptorProto, comments: Map<object, string>): void {
  const byPath = new Map<string, string>();
  for (const { path, leadingComments } of file.sourceCodeInfo?.location ?? []) {
    if (leadingComments) {
      byPath.set(path.join(), clean(leadingComments));
    }
  }
  const note = (proto: object, path: number[]) => {
    const text = byPath.get(path.join());
    if (text !== undefined) {
      comments.set(proto, text);
    }
  };
  // The numbers are those of the fields in google/protobuf/descriptor.proto.
  const noteEnum = (type: EnumDescriptorProto, path: number[]) => {
    note(type, path);
    type.value.forEach((value, index) => {
      note(value, [...path, 2, index]);
    });
  };
  const noteMessage = (type: DescriptorProto, path: number[]) => {
    note(type, path);
    type.field.forEach((field, index) => {
      note(field, [...path, 2, index]);
    });
    type.oneofDecl.forEach((oneof, index) => {
      note(oneof, [...path, 8, index]);
    });
    type.enumType.forEach((nested, index) => {
      noteEnum(nested, [...path, 4, index]);
    });
    type.nestedType.forEach((nested, index) => {
      noteMessage(nested, [...path, 3, index]);
    });
  };
  file.messageType.forEach((type, index) => {
    noteMessage(type, [4, index]);
  });
  file.enumType.forEach((type, index) => {
    noteEnum(type, [5, index]);
  });
  file.service.forEach((service, index) => {
    note(service, [6, index]);
    service.method.forEach((method, at) => {
      note(method, [6, index, 2, at]);
    });
  });
}

/** Takes off what is for the tools of protobuf: indentation, orders to the linter, links to types. */
function clean(comment: string): string {
  return (
    comment
      .split("\n")
      .map((line) => line.replace(/^ /, "").trimEnd())
      .filter((line) => !line.startsWith("buf:lint:"))
      .join("\n")
      .trim()
      // [Operation][google.longrunning.Operation] is a link that only a site of protobuf types resolves.
      .replace(/\[([^\]\n]+)\]\[[\w.]*\]/g, "$1")
      // Outside of code, what looks like a tag would be taken for HTML.
      .replace(/<(?=[A-Za-z/!])/g, "&lt;")
  );
}
