// LAMPID reports, as a process.
import { runProcess } from "#chassis/process.ts";
import { composePelaporan } from "./pelaporan.ts";

await runProcess({ name: "pelaporan", env: process.env, compose: composePelaporan });
