// node-oidc-provider with a bare exchange handler: it has none of its own.

import Provider, { errors } from 'oidc-provider';
import { EXCHANGE, decide, ready, record, told } from './common.js';

function api(identifier) {
  if (identifier !== told.resource) throw new errors.InvalidTarget();
  return {
    scope: 'events.read events.write',
    audience: identifier,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'ES256' } },
  };
}

const provider = new Provider(told.issuer, {
  clients: [{
    client_id: told.client,
    client_secret: told.secret,
    grant_types: [EXCHANGE],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_basic',
  }],
  jwks: { keys: [told.signing] },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  scopes: ['events.read', 'events.write'],
  ttl: { AccessToken: (ctx) => ctx.oidc.decided.expires - ctx.oidc.decided.now },
  extraTokenClaims: (ctx) => ({ act: ctx.oidc.decided.act }),
  features: {
    devInteractions: { enabled: false },
    userinfo: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, identifier) => api(identifier),
    },
  },
});

async function exchange(ctx) {
  const { client, params } = ctx.oidc;
  try {
    ctx.oidc.decided = await decide(params.subject_token, params.resource, params.scope);
  } catch {
    throw new errors.InvalidRequest('the subject token is not acceptable');
  }
  const { subject, scopes } = ctx.oidc.decided;
  const token = new provider.AccessToken({
    accountId: subject.sub,
    client,
    gty: EXCHANGE,
    scope: scopes.join(' '),
  });
  token.resourceServer = new provider.ResourceServer(params.resource, api(params.resource));
  const value = await token.save();
  await record(token.jti, ctx.oidc.decided);
  ctx.body = {
    access_token: value,
    issued_token_type: params.subject_token_type,
    token_type: token.tokenType,
    expires_in: token.expiration,
    scope: token.scope,
  };
}

const parameters = ['subject_token', 'subject_token_type', 'resource', 'scope'];
provider.registerGrantType(EXCHANGE, exchange, parameters, ['resource']);
provider.listen(told.port, '127.0.0.1', ready);
