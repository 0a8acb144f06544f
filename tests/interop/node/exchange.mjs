// One exchange by openid-client, and its token verified by jose: asked for on stdin, told on stdout.
// All but the frame stands in docs/how-to/use-any-client.md, word for word.
import { readFileSync } from 'node:fs'
import { createRemoteJWKSet, importJWK, jwtVerify } from 'jose'
import * as client from 'openid-client'

const asked = JSON.parse(readFileSync(0, 'utf8'))
const { issuer, clientId, subjectToken, resource, scope, onLoopback } = asked

function bySecret(secret) {
  const authentication = client.ClientSecretBasic(secret)
  return authentication
}

async function byKey(privateKey) {
  const key = await importJWK(privateKey)
  const authentication = client.PrivateKeyJwt({ key, kid: privateKey.kid })
  return authentication
}

async function exchange() {
  const authentication = asked.secret ? bySecret(asked.secret) : await byKey(asked.privateKey)

  const config = await client.discovery(new URL(issuer), clientId, undefined, authentication, {
    algorithm: 'oauth2',
    execute: onLoopback ? [client.allowInsecureRequests] : [],
  })

  const issued = await client.genericGrantRequest(
    config,
    'urn:ietf:params:oauth:grant-type:token-exchange',
    {
      subject_token: subjectToken,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource,
      scope,
    },
  )
  return { issued, ...(await verified(config, issued.access_token)) }
}

async function verified(config, accessToken) {
  const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri))
  const { payload, protectedHeader } = await jwtVerify(accessToken, keys, {
    issuer,
    audience: resource,
    typ: 'at+jwt',
    algorithms: ['ES256'],
  })
  return { claims: payload, header: protectedHeader }
}

function refusal({ name, constructor, error, status, cause }) {
  return { raised: constructor.name, name, error, status, cause }
}

console.log(JSON.stringify(await exchange().catch((error) => ({ refusal: refusal(error) }))))
