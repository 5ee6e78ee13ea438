// What Kemendag, a ministry, expects of the gateway: the residents of an area as a download, of the fields that it may have.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { consumer, EXAMPLE_TOKEN, like, withToken } from "./pact.ts";

/** The ministry's program: reads a download line by line. */
async function download(baseUrl: string, kodeWilayah: string, fields: string) {
  const query = new URLSearchParams({ kode_wilayah: kodeWilayah, read_mask: fields });
  const response = await fetch(`${baseUrl}/v1/penduduk:export?${query}`, {
    headers: { authorization: `Bearer ${EXAMPLE_TOKEN}`, accept: "application/x-ndjson" },
  });
  const text = await response.text();
  if (!response.ok) return { refused: JSON.parse(text).details[0].reason as string };
  const batches = text.split("\n").filter((line) => line !== "");
  return {
    residents: batches.flatMap((line) => JSON.parse(line).penduduk as { nik: string; kodeWilayah: string }[]),
  };
}

const kemendag = consumer("kemendag");
const WILAYAH = "32.01.23";
const request = {
  method: "GET",
  path: "/v1/penduduk:export",
  headers: { ...withToken, accept: "application/x-ndjson" },
};

after(() => kemendag.write());

test("a download of some fields", async () => {
  const found = await kemendag.expects(
    {
      description: "an export of NIK and wilayah",
      state: {
        name: "a resident is registered",
        params: { nik: "3201234101909001", nama: "Siti Nurhaliza" },
      },
      request: { ...request, query: { kode_wilayah: WILAYAH, read_mask: "nik,kode_wilayah" } },
      response: {
        status: 200,
        headers: { "cache-control": "no-store" },
        text: {
          type: "application/x-ndjson",
          example: '{"penduduk":[{"nik":"3201234101909001","kodeWilayah":"32.01.23"}],"cursor":"eyJ"}\n',
          // Rust's regular expressions, for those are Pact's.
          form: /^(\{"penduduk":\[(\{"nik":"[0-9]{16}","kodeWilayah":"32\.01\.23(\.[0-9]{4})?"\},?)+\],"cursor":"[^"]+"\}\n)+$/,
        },
      },
    },
    (baseUrl) => download(baseUrl, WILAYAH, "nik,kode_wilayah"),
  );
  assert.deepEqual(found, { residents: [{ nik: "3201234101909001", kodeWilayah: "32.01.23" }] });
});

test("fields that the ministry may not have", async () => {
  const found = await kemendag.expects(
    {
      description: "an export of addresses",
      request: { ...request, query: { kode_wilayah: WILAYAH, read_mask: "alamat" } },
      response: {
        status: 403,
        json: {
          code: 7,
          message: like("words for developers"),
          details: [
            {
              "@type": "type.googleapis.com/google.rpc.ErrorInfo",
              reason: "EXPORT_FIELDS_DENIED",
              domain: "lampid.go.id",
              metadata: like({ fields: "alamat", scope: "penduduk.export.lengkap" }),
            },
            like({
              "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
              locale: "en",
              message: "words",
            }),
          ],
        },
      },
    },
    (baseUrl) => download(baseUrl, WILAYAH, "alamat"),
  );
  assert.deepEqual(found, { refused: "EXPORT_FIELDS_DENIED" });
});
