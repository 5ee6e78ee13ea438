// Starts the auth process. The only file of this service that reads the environment.
import { runProcess } from "#chassis/process.ts";
import { composeAuth } from "./auth.ts";

await runProcess({ name: "auth", env: process.env, compose: composeAuth });
