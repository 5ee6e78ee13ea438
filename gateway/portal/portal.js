// What the portal's page does: shows the API, and puts the token of who signs in where its calls take it from.

const ui = window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#portal",
  deepLinking: true,
  docExpansion: "list",
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  // A token stays in the page's memory, and is gone with it.
  persistAuthorization: false,
  // Its default sends the document's address to a validator on the internet.
  validatorUrl: null,
});

const form = document.querySelector("#sign-in");
const output = document.querySelector("#signed-in");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { username, password } = Object.fromEntries(new FormData(form));
  output.textContent = "...";
  try {
    const response = await fetch("/v1/auth:login", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ username, password }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.message);
    ui.preauthorizeApiKey("bearer", answer.access_token);
    form.elements.password.value = "";
    output.textContent = `calls are made as ${username}`;
  } catch (error) {
    output.textContent = error.message;
  }
});
