// lampid.auth.v1.AuthService: password login through the issuer's token endpoint, and a look at one's own token.
import type { ServiceImpl } from "@connectrpc/connect";
import { callerOf, traceparentKey } from "#chassis/caller.ts";
import { refuse } from "#chassis/refusal.ts";
import type { AuthService } from "#gen/lampid/auth/v1/auth_service_pb.ts";
import type { PasswordGrant } from "./issuer-client.ts";
import type { LoginThrottle } from "./login-throttle.ts";

export type AuthServiceDeps = { grant: PasswordGrant; throttle: LoginThrottle };

export function authService({ grant, throttle }: AuthServiceDeps): ServiceImpl<typeof AuthService> {
  return {
    async login({ username, password }, ctx) {
      const ask = () => grant({ username, password, traceparent: ctx.values.get(traceparentKey) });
      const answer = await throttle.attempt(username, ask, ({ kind }) => kind === "denied");
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
