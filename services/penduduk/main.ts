// The registry of residents and family cards, as a process.
import { runProcess } from "#chassis/process.ts";
import { composePenduduk } from "./penduduk.ts";

await runProcess({ name: "penduduk", env: process.env, compose: composePenduduk });
