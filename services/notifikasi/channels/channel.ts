// The port to where messages go: log, e-mail or SMS.
import type { PesanRecord } from "../store.ts";

export type Channel = {
  /**
   * Resolves when the provider has accepted the message; a throw is retried with backoff. `to` is the reporter's address;
   * without it, the message is for the officer on duty.
   */
  send: (message: PesanRecord, to?: string) => Promise<void>;
  /** Messages sent at the same time; their outcomes are noted together. */
  concurrency: number;
  close?: () => void;
};
