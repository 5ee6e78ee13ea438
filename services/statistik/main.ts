// The statistics, as a process.
import { runProcess } from "#chassis/process.ts";
import { composeStatistik } from "./statistik.ts";

await runProcess({ name: "statistik", env: process.env, compose: composeStatistik });
