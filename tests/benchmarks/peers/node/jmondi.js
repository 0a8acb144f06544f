// @jmondi/oauth2-server on Fastify: the grant is the library's, signing is by jose.

import { randomUUID } from 'node:crypto';
import formbody from '@fastify/formbody';
import { AuthorizationServer, DateInterval } from '@jmondi/oauth2-server';
import {
  handleFastifyError, handleFastifyReply, requestFromFastify,
} from '@jmondi/oauth2-server/fastify';
import Fastify from 'fastify';
import { SignJWT, importJWK } from 'jose';
import { EXCHANGE, decide, holdsSecret, ready, record, told } from './common.js';

const signing = await importJWK(told.signing, 'ES256');
const client = {
  id: told.client,
  name: told.client,
  secret: 'held as a digest',
  redirectUris: [],
  allowedGrants: [EXCHANGE],
  scopes: [],
};

const clients = {
  getByIdentifier: async (id) => (id === told.client ? client : undefined),
  isClientValid: async (grant, known, secret) => (
    known.allowedGrants.includes(grant) && holdsSecret(secret)
  ),
};
const scopes = {
  getAllByIdentifiers: async (names) => names.map((name) => ({ name })),
  finalize: async (asked) => asked,
};
const tokens = {
  issueToken: async (owner, granted, user) => ({
    accessToken: randomUUID(),
    accessTokenExpiresAt: new Date(),
    client: owner,
    user,
    scopes: granted,
  }),
  persist: async (token) => record(token.accessToken, token.user.decided),
};
const jwt = {
  sign: (claims) => new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: told.signing.kid })
    .sign(signing),
  extraTokenFields: ({ user }) => ({
    iss: told.issuer, aud: told.resource, client_id: told.client, act: user.decided.act,
  }),
};

const server = new AuthorizationServer(clients, tokens, scopes, jwt, { issuer: told.issuer });
server.enableGrantType({
  grant: EXCHANGE,
  processTokenExchange: async ({ resource, scopes: wanted, subjectToken }) => {
    const names = wanted.map((scope) => scope.name).join(' ');
    const decided = await decide(subjectToken, resource, names);
    return { id: decided.subject.sub, decided };
  },
}, new DateInterval('5m'));

const app = Fastify({ logger: false });
await app.register(formbody);
app.post('/token', async (request, reply) => {
  try {
    const answer = await server.respondToAccessTokenRequest(requestFromFastify(request));
    return handleFastifyReply(reply, answer);
  } catch (error) {
    handleFastifyError(error, reply);
    return reply;
  }
});
await app.listen({ port: told.port, host: '127.0.0.1' });
ready();
