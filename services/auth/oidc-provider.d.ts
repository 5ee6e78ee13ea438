// The part of oidc-provider 9 that we use. The package has no types of its own, and @types/oidc-provider brings Koa's.
declare module "oidc-provider" {
  import type { IncomingMessage, ServerResponse } from "node:http";

  export type Adapter = {
    find: (id: string) => Promise<Record<string, unknown> | undefined>;
    findByUid: (uid: string) => Promise<Record<string, unknown> | undefined>;
    findByUserCode: (userCode: string) => Promise<Record<string, unknown> | undefined>;
    upsert: (id: string, payload: Record<string, unknown>, expiresIn?: number) => Promise<void>;
    consume: (id: string) => Promise<void>;
    destroy: (id: string) => Promise<void>;
    revokeByGrantId: (grantId: string) => Promise<void>;
  };

  export type Client = {
    clientId: string;
    clientName?: string;
    grantTypeAllowed: (type: string) => boolean;
  };

  export type ResourceServerInfo = {
    scope: string;
    audience: string;
    accessTokenTTL: number;
    accessTokenFormat: "jwt";
    jwt: { sign: { alg: string } };
  };

  export type Interaction = {
    uid: string;
    prompt: { name: string; reasons: string[] };
    params: Record<string, unknown>;
    session?: { accountId?: string };
  };

  type Grant = {
    addOIDCScope: (scope: string) => void;
    addResourceScope: (resource: string, scope: string) => void;
    save: () => Promise<string>;
  };

  type Token = {
    kind: string;
    clientId: string;
    accountId?: string;
    scope?: string;
    resourceServer: unknown;
    readonly expiration: number;
    readonly tokenType: string;
    save: () => Promise<string>;
  };

  export type Context = {
    type: string;
    status: number;
    body: unknown;
    get: (header: string) => string;
    oidc: {
      client: Client;
      params: Record<string, string | undefined>;
      result?: { login?: unknown; consent?: { grantId?: string } };
      session: { accountId?: string; grantIdFor: (clientId: string) => string | undefined };
      entities: Record<string, unknown>;
      entity: (name: string, value: unknown) => void;
      provider: Provider;
    };
  };

  export class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>);
    proxy: boolean;
    callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>;
    on(event: string, listener: (...parameters: never[]) => void): this;
    registerGrantType(
      name: string,
      handler: (context: Context) => Promise<void>,
      parameters: readonly string[],
    ): void;
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<Interaction>;
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: Record<string, unknown>,
      options: { mergeWithLastSubmission: boolean },
    ): Promise<void>;
    readonly Grant: {
      new (properties: { accountId: string; clientId: string }): Grant;
      find: (id: string) => Promise<Grant | undefined>;
    };
    readonly AccessToken: new (properties: {
      accountId: string;
      client: Client;
      scope: string;
      gty: string;
    }) => Token;
    readonly ResourceServer: new (
      identifier: string,
      info: ResourceServerInfo,
    ) => unknown;
  }
  export default Provider;

  export const errors: {
    CustomOIDCProviderError: new (
      error: string,
      description: string,
    ) => Error & { statusCode: number; status: number };
    InvalidGrant: new (detail: string) => Error;
    InvalidRequest: new (description: string) => Error;
    InvalidTarget: new (description: string) => Error;
    SessionNotFound: new (description: string) => Error;
  };

  type Check = { reason: string };
  export const interactionPolicy: {
    base: () => {
      get: (name: string) => { checks: { remove: (reason: string) => void; add: (check: Check) => void } };
    };
    Check: new (
      reason: string,
      description: string,
      error: string,
      check: (context: Context) => boolean,
    ) => Check;
  };
}
