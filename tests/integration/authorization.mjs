// A real authorization server for the tests: node authorization.mjs PORT LIFETIME_S
import { OAuth2Server } from "oauth2-mock-server";

const [port, lifetime] = process.argv.slice(2).map(Number);
const server = new OAuth2Server();
await server.issuer.keys.generate("RS256");
server.service.on("beforeResponse", (response) => {
  response.body.expires_in = lifetime;
});
// Two tokens of one second would be the same text.
server.service.on("beforeTokenSigning", (token) => {
  token.payload.jti = crypto.randomUUID();
});
await server.start(port, "127.0.0.1");
