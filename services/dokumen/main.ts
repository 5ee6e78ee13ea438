// The documents, as a process.
import { runProcess } from "#chassis/process.ts";
import { composeDokumen } from "./dokumen.ts";

await runProcess({ name: "dokumen", env: process.env, compose: composeDokumen });
