// The notifications, as a process.
import { runProcess } from "#chassis/process.ts";
import { composeNotifikasi } from "./notifikasi.ts";

await runProcess({ name: "notifikasi", env: process.env, compose: composeNotifikasi });
