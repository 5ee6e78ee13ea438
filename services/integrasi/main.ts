// Synchronisation with the Dukcapil hub, as a process.
import { runProcess } from "#chassis/process.ts";
import { composeIntegrasi } from "./integrasi.ts";

await runProcess({ name: "integrasi", env: process.env, compose: composeIntegrasi });
