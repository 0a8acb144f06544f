// What the peers on Node share: who there is, how a subject token is checked, what is recorded.

import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { importJWK, jwtVerify } from 'jose';

/** Of the world, as the one argument of the process. */
export const told = JSON.parse(process.argv[2]);

export const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

const SCOPES = { 'calendar:read': 'events.read', 'calendar:write': 'events.write' };
const PARTITIONS = 64;

const redis = new Redis(told.redis);
redis.defineCommand('record', {
  numberOfKeys: 4,
  lua: readFileSync(new URL('./record.lua', import.meta.url), 'utf8'),
});

const keys = new Map([[told.jwk.kid, await importJWK(told.jwk, 'ES256')]]);
const secret = Buffer.from(told.secretDigest, 'hex');

export function holdsSecret(presented) {
  return timingSafeEqual(createHash('sha256').update(presented ?? '').digest(), secret);
}

/** What is decided about a subject token, or a reason why not. */
export async function decide(token, resource, wanted) {
  const { payload } = await jwtVerify(token, (header) => keys.get(header.kid), {
    algorithms: ['ES256'],
    typ: 'at+jwt',
    issuer: told.trusted,
    audience: told.audience,
    requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
  });
  if (resource !== told.resource) throw new Error('unknown resource');
  if (!payload.groups?.includes('staff')) throw new Error('no grant');
  const allowed = payload.scope.split(' ').map((scope) => SCOPES[scope]);
  const scopes = (wanted || allowed.join(' ')).split(' ');
  if (!scopes.every((scope) => allowed.includes(scope))) throw new Error('too much scope');
  const now = Math.floor(Date.now() / 1000);
  const expires = Math.min(payload.exp, now + 300);
  const before = payload.act ? { act: payload.act } : {};
  return {
    subject: payload,
    scopes,
    now,
    expires,
    act: { iss: told.issuer, sub: told.client, ...before },
  };
}

/** Write it down before the token leaves. */
export async function record(id, decided) {
  const { subject, scopes, expires } = decided;
  const root = createHash('sha256').update(`${subject.iss} ${subject.sub}`).digest();
  const partition = `peer:{${root.readUInt32BE(0) % PARTITIONS}}`;
  const who = { subject: [subject.iss, subject.sub], client: told.client, agent: subject.client_id };
  const what = { resource: told.resource, scope: scopes, parent: subject.jti };
  const event = { type: 'exchange.granted', decision: id, request: randomUUID(), ...who, ...what };
  const targets = [`s:${root.toString('hex')}`, `c:${told.client}`, `a:${subject.client_id}`,
    `r:${told.resource}`, `i:${subject.iss}`, `x:${id}`, `f:${subject.jti}`, '*'];
  const answer = await redis.record(
    `${partition}:locks`, `${partition}:x:${id}`, `${partition}:live`, `${partition}:events`,
    JSON.stringify({ ...who, ...what }), JSON.stringify({ ...event, expires }), expires * 1000, id,
    ...targets,
  );
  if (answer !== 'ok') throw new Error(answer);
}

/** Say that requests are taken. */
export function ready() {
  process.stdout.write('ready\n');
}
