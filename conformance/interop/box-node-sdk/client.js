// Box's Node SDK, set up for the emulator.

import assert from 'node:assert/strict';

import { BoxClient, BoxOAuth, OAuthConfig } from 'box-node-sdk';
import { BoxApiError } from 'box-node-sdk/box/errors';
import { BaseUrls } from 'box-node-sdk/networking/baseUrls';
import { NetworkSession } from 'box-node-sdk/networking/network';
import { BoxRetryStrategy } from 'box-node-sdk/networking/retries';

// The SDK takes a proxy from the environment. The emulator is on this machine.
process.env.NO_PROXY = process.env.no_proxy = '*';

// network is how the SDK reaches an emulator.
export function network(box) {
  return new NetworkSession({
    baseUrls: new BaseUrls({
      baseUrl: box.info.base_url,
      uploadUrl: box.info.upload_url.replace(/\/2\.0$/, ''),
      oauth2Url: box.info.authorize_url.replace(/\/authorize$/, ''),
    }),
    retryStrategy: new BoxRetryStrategy({ retryBaseInterval: 0.01 }), // seconds
  });
}

// signIn signs in as a person would and returns the SDK's auth and client.
export async function signIn(box, session, secret = box.info.client_secret) {
  const auth = new BoxOAuth({ config: new OAuthConfig({ clientId: box.info.client_id, clientSecret: secret }) });
  const state = crypto.randomUUID();
  const callback = await box.consent(auth.getAuthorizeUrl({ redirectUri: box.info.redirect_uris[0], state }));
  assert.equal(callback.get('state'), state);
  await auth.getTokensAuthorizationCodeGrant(callback.get('code'), session);
  return { auth, client: new BoxClient({ auth, networkSession: session }) };
}

// refused asserts that a call fails as Box's API does.
export const refused = (call, status, text) =>
  assert.rejects(call, (err) => {
    assert.ok(err instanceof BoxApiError, err);
    assert.equal(err.responseInfo.statusCode, status);
    assert.match(err.message, text);
    return true;
  });
