// The issuer's pages, in Indonesian: no script, labelled fields, errors announced to screen readers.
import { createHash } from "node:crypto";
import { MIN_PASSWORD_LENGTH } from "./domain/password.ts";

const STYLE = `
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
  main { max-width: 22rem; margin: 12vh auto; padding: 0 1rem; }
  label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
  label { margin-top: 1rem; }
  input, button { padding: .6rem; border: 1px solid #767676; border-radius: .3rem; }
  button { margin-top: 1rem; cursor: pointer; }
  button.utama { background: #0b57a4; border-color: #0b57a4; color: #fff; }
  :focus-visible { outline: 3px solid #f5a623; outline-offset: 2px; }
  [role=alert] { padding: .6rem; border-left: .3rem solid #b3261e; }
`;

/** For the Content-Security-Policy: the only style that is allowed is the one above. */
export const STYLE_HASH = `sha256-${createHash("sha256").update(STYLE).digest("base64")}`;

export function loginPage({ username = "", problem }: { username?: string; problem?: string }): string {
  const alert = problem === undefined ? "" : `<p role="alert" id="masalah">${escaped(problem)}</p>`;
  const described = problem === undefined ? "" : ' aria-describedby="masalah"';
  return page(
    "Masuk",
    `${alert}
    <form method="post">
      <label for="username">Nama pengguna</label>
      <input id="username" name="username" value="${escaped(username)}" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="64" required${username ? "" : " autofocus"}${described}>
      <label for="password">Kata sandi</label>
      <input id="password" name="password" type="password" autocomplete="current-password" maxlength="256" required${username ? " autofocus" : ""}${described}>
      <button class="utama">Masuk</button>
      <button name="action" value="batal" formnovalidate>Batal</button>
    </form>`,
  );
}

/** Shown to who has signed in with a password that an administrator set. */
export function newPasswordPage({ username, problem }: { username: string; problem?: string }): string {
  const alert = problem === undefined ? "" : `<p role="alert" id="masalah">${escaped(problem)}</p>`;
  const described = problem === undefined ? "" : ' aria-describedby="masalah"';
  return page(
    "Pilih kata sandi",
    `${alert}
    <p>Kata sandi Anda ditetapkan oleh administrator. Pilih kata sandi sendiri, paling sedikit ${MIN_PASSWORD_LENGTH} karakter.</p>
    <form method="post">
      <label for="username">Nama pengguna</label>
      <input id="username" name="username" value="${escaped(username)}" autocomplete="username" readonly>
      <label for="password">Kata sandi dari administrator</label>
      <input id="password" name="password" type="password" autocomplete="current-password" maxlength="256" required autofocus${described}>
      <label for="new_password">Kata sandi baru</label>
      <input id="new_password" name="new_password" type="password" autocomplete="new-password" maxlength="256" required${described}>
      <label for="new_password_again">Kata sandi baru, sekali lagi</label>
      <input id="new_password_again" name="new_password_again" type="password" autocomplete="new-password" maxlength="256" required${described}>
      <button class="utama">Simpan dan masuk</button>
      <button name="action" value="batal" formnovalidate>Batal</button>
    </form>`,
  );
}

/** Shown when a session is remembered and a program on this machine wants to use it. */
export function confirmPage({ username }: { username: string }): string {
  return page(
    "Lanjutkan",
    `<p>Anda masuk sebagai <strong>${escaped(username)}</strong>. Lanjutkan ke e-LAMPID?</p>
    <form method="post">
      <button class="utama" name="action" value="lanjut">Lanjutkan</button>
      <button name="action" value="batal">Batal</button>
    </form>`,
  );
}

export function expiredPage(): string {
  return page(
    "Sesi berakhir",
    '<p role="alert">Sesi masuk sudah berakhir. Kembali ke aplikasi dan coba lagi.</p>',
  );
}

export function errorPage(): string {
  return page(
    "Terjadi kesalahan",
    '<p role="alert">Permintaan tidak dapat diproses. Kembali ke aplikasi dan coba lagi.</p>',
  );
}

function page(title: string, content: string): string {
  return `<!doctype html>
<html lang="id">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${title} – e-LAMPID</title>
    <style>${STYLE}</style>
  </head>
  <body>
    <main>
    <h1>${title}</h1>
    ${content}
    </main>
  </body>
</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
