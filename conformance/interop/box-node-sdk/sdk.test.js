// Box's Node SDK, as it is published, against the emulator. What the SDK reads
// and expects is what its authors know of Box, so a misunderstanding in the
// emulator shows here.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Boxsim } from './boxsim.js';
import { network, refused, signIn as signInTo } from './client.js';

let box;
let session;

before(async () => {
  box = await Boxsim.start();
  session = network(box);
});

after(() => box?.stop());

const signIn = (secret) => signInTo(box, session, secret);

describe('box-node-sdk', { timeout: 60_000 }, () => {
  test('exchanges a code', async () => {
    const { auth } = await signIn();
    const token = await auth.retrieveToken(session);
    assert.match(token.accessToken, /^\w{32}$/);
    assert.match(token.refreshToken, /^\w{64}$/);
    assert.equal(token.tokenType, 'bearer');
    assert.ok(token.expiresIn > 3600, `expires in ${token.expiresIn}`);
    assert.deepEqual(token.restrictedTo, []);
  });

  test('reads the account', async () => {
    const { client } = await signIn();
    const want = box.info.users[0];
    const me = await client.users.getUserMe();
    assert.deepEqual([me.type, me.id, me.name, me.login, me.status], ['user', want.id, want.name, want.login, 'active']);
    assert.ok(me.createdAt.value instanceof Date);
    assert.equal(me.enterprise, undefined);
    const named = await client.users.getUserMe({ fields: ['enterprise'] });
    assert.equal(named.enterprise.id, want.enterprise.id);
    assert.equal(named.name, undefined);
  });

  test('reads folders, by offset and by marker', async () => {
    const { client } = await signIn();
    const root = await client.folders.getFolderById('0');
    assert.equal(root.name, 'All Files');
    const all = await client.folders.getFolderItems('0');
    assert.equal(all.totalCount, all.entries.length);
    assert.deepEqual([...new Set(all.entries.map((e) => e.type))], ['folder', 'file', 'web_link']);

    const seen = [];
    let marker;
    do {
      const page = await client.folders.getFolderItems('0', { queryParams: { usemarker: true, limit: 2, marker } });
      assert.ok(page.entries.length <= 2);
      seen.push(...page.entries.map((e) => e.id));
      marker = page.nextMarker;
    } while (marker);
    assert.deepEqual(seen.toSorted(), all.entries.map((e) => e.id).toSorted());
  });

  test('renews', async () => {
    const { auth, client } = await signIn();
    const first = await auth.retrieveToken(session);
    const second = await auth.refreshToken(session);
    assert.notEqual(second.accessToken, first.accessToken);
    assert.notEqual(second.refreshToken, first.refreshToken);
    await client.users.getUserMe();
    assert.equal((await auth.retrieveToken(session)).refreshToken, second.refreshToken);
  });

  test('renews by itself when the token is refused', async () => {
    const { auth, client } = await signIn();
    const { accessToken } = await auth.retrieveToken(session);
    const { last_request: since } = await box.state();
    assert.equal((await box.expire(accessToken)).ended, 1);

    const me = await client.users.getUserMe();
    assert.equal(me.login, box.info.users[0].login);
    assert.notEqual((await auth.retrieveToken(session)).accessToken, accessToken);
    const seen = await box.requests({ since });
    assert.deepEqual(
      seen.map((r) => [r.method, r.path, r.status]),
      [['GET', '/2.0/users/me', 401], ['POST', '/oauth2/token', 200], ['GET', '/2.0/users/me', 200]],
    );
  });

  test('narrows a token to a folder', async () => {
    const { auth } = await signIn();
    const resource = `${box.info.api_url}/folders/160000000001`;
    const narrow = await auth.downscopeToken(['item_preview', 'base_explorer'], resource, undefined, session);
    assert.match(narrow.accessToken, /^1!/);
    assert.equal(narrow.refreshToken, undefined);
    assert.equal(narrow.issuedTokenType, 'urn:ietf:params:oauth:token-type:access_token');
    assert.deepEqual(narrow.restrictedTo.map((r) => [r.scope, r.object.id]),
      [['item_preview', '160000000001'], ['base_explorer', '160000000001']]);
  });

  test('revokes', async () => {
    const { auth, client } = await signIn();
    await client.users.getUserMe();
    await auth.revokeToken(session);
    // The call is refused, and the renewal that the SDK tries then is too.
    await refused(client.users.getUserMe(), 400, /invalid_grant/);
  });

  test('understands refusals', async () => {
    const { client } = await signIn();
    await refused(client.folders.getFolderById('404'), 404, /not_found/);
    await refused(signIn('wrong'), 400, /invalid_client/);
  });

  test('never sends a spent refresh token', async () => {
    const { counters } = await box.state();
    assert.ok(counters.renewals > 0);
    assert.equal(counters.reused_after_successor_used, 0);
    assert.equal(counters.codes_reused, 0);
  });
});
