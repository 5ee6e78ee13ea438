// lampid.auth.v1.AuthService: password login through the issuer's token endpoint, and a look at one's own token.
import { isIP } from "node:net";
import type { ServiceImpl } from "@connectrpc/connect";
import { callerOf, clientAddressHeader, traceparentKey } from "#chassis/caller.ts";
import { refuse } from "#chassis/refusal.ts";
import type { AuthService } from "#gen/lampid/auth/v1/auth_service_pb.ts";
import type { PasswordGrant } from "./issuer-client.ts";
import type { LoginThrottle } from "./login-throttle.ts";

export type AuthServiceDeps = { grant: PasswordGrant; throttle: LoginThrottle };

export function authService({ grant, throttle }: AuthServiceDeps): ServiceImpl<typeof AuthService> {
  return {
    async login({ username, password }, ctx) {
      const ask = () => grant({ username, password, traceparent: ctx.values.get(traceparentKey) });
      const address = addressFrom(ctx.requestHeader.get(clientAddressHeader));
      const answer = await throttle.attempt(username, ask, ({ kind }) => kind === "denied", address);
      if (answer.kind === "denied") {
        throw refuse("unauthenticated", "CREDENTIALS_INVALID", "username and password do not match");
      }
      if (answer.kind === "password_expired") {
        throw refuse(
          "precondition",
          "PASSWORD_EXPIRED",
          "this password was set by an administrator; sign in with a browser and choose one of your own",
        );
      }
      const { accessToken, tokenType, expiresIn } = answer;
      return { accessToken, tokenType, expiresIn };
    },

    getMe(_request, ctx) {
      const { subject, username, role, wilayah, scopes } = callerOf(ctx);
      return { message: "Akses diotorisasi", subject, username, role, wilayah, scopes: [...scopes] };
    },
  };
}

/** An address as the gateway writes it: IPv4, or the /64 of an IPv6 network. Anything else is none. */
function addressFrom(header: string | null): string {
  const address = header ?? "";
  return isIP(address) === 4 || /^[0-9a-f:]{1,40}::\/64$/i.test(address) ? address : "";
}
