// Folders, files, uploads, downloads and the search of the emulator, used by
// Box's Node SDK as it is published.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';

import { BoxRetryStrategy } from 'box-node-sdk/networking/retries';

import { Boxsim } from './boxsim.js';
import { network, refused, signIn } from './client.js';

let box;
let session;
let client;
let auth;

before(async () => {
  box = await Boxsim.start();
  session = network(box);
  ({ auth, client } = await signIn(box, session));
});

after(() => box?.stop());

const sha1 = (content) => createHash('sha1').update(content).digest('hex');
const stream = (content) => Readable.from([Buffer.from(content)]);
const newFolder = (name) => client.folders.createFolder({ name, parent: { id: '0' } });

const upload = async (name, content, parent = '0') =>
  (await client.uploads.uploadFile({ attributes: { name, parent: { id: parent } }, file: stream(content) })).entries[0];

const download = async (id, options) => buffer(await client.downloads.downloadFile(id, options));

describe('box-node-sdk and content', { timeout: 120_000 }, () => {
  test('makes, reads, changes and deletes a folder', async () => {
    const made = await newFolder('SDK folder');
    assert.equal(made.type, 'folder');
    assert.equal(made.etag, '0');
    assert.equal((await client.folders.getFolderById(made.id)).name, 'SDK folder');

    const changed = await client.folders.updateFolderById(made.id, {
      requestBody: {
        name: 'SDK folder 2', description: 'd', tags: ['a', 'b'], parent: { id: '160000000003' },
        sharedLink: { access: 'open', permissions: { canDownload: true } }, folderUploadEmail: { access: 'open' },
      },
      queryParams: { fields: ['name', 'description', 'tags', 'parent', 'shared_link', 'folder_upload_email', 'etag'] },
      headers: { ifMatch: '0' },
    });
    assert.deepEqual([changed.name, changed.description, changed.tags, changed.parent.id, changed.etag],
      ['SDK folder 2', 'd', ['a', 'b'], '160000000003', '1']);
    assert.equal(changed.sharedLink.access, 'open');
    assert.equal(changed.folderUploadEmail.access, 'open');

    await refused(client.folders.updateFolderById(made.id, { requestBody: { name: 'x' }, headers: { ifMatch: '0' } }), 412, /precondition_failed/);
    await refused(newFolder('CONTRACTS'), 409, /item_name_in_use/);
    await upload('inside.txt', 'x', made.id);
    await refused(client.folders.deleteFolderById(made.id), 400, /400/); // the SDK doesn't read the body
    await client.folders.deleteFolderById(made.id, { queryParams: { recursive: true } });
    await refused(client.folders.getFolderById(made.id), 404, /trashed/);
  });

  test('uploads, downloads and deletes a file', async () => {
    const content = randomBytes(300_000);
    const file = await upload('Ünïcode.bin', content);
    assert.deepEqual([file.type, file.name, file.size, file.sha1], ['file', 'Ünïcode.bin', content.length, sha1(content)]);
    assert.deepEqual(await download(file.id), content);
    assert.deepEqual(await download(file.id, { headers: { range: 'bytes=1000-1999' } }), content.subarray(1000, 2000));
    const url = await client.downloads.getDownloadFileUrl(file.id);
    assert.ok(url.startsWith(box.info.content_url), url);
    await refused(upload('ünïcode.BIN', 'x'), 409, /item_name_in_use/);

    const renamed = await client.files.updateFileById(file.id, { requestBody: { name: 'plain.bin', parent: { id: '160000000003' } } });
    assert.deepEqual([renamed.name, renamed.parent.id], ['plain.bin', '160000000003']);
    await client.files.deleteFileById(file.id, { headers: { ifMatch: renamed.etag } });
    await refused(client.files.getFileById(file.id), 404, /trashed/);
  });

  test('uploads a new version, and reads the old one', async () => {
    const file = await upload('versions.txt', 'one');
    const { entries } = await client.uploads.uploadFileVersion(file.id, { attributes: { name: 'versions.txt' }, file: stream('two') });
    assert.equal(entries[0].etag, '1');
    assert.equal((await download(file.id)).toString(), 'two');
    const past = await client.fileVersions.getFileVersions(file.id);
    assert.deepEqual(past.entries.map((v) => v.sha1), [sha1('one')]);
    assert.equal((await download(file.id, { queryParams: { version: past.entries[0].id } })).toString(), 'one');
  });

  test('asks before it uploads', async () => {
    const attributes = { name: 'asked.txt', parent: { id: '0' }, size: 5 };
    const { entries } = await client.uploads.uploadWithPreflightCheck({ attributes, file: stream('asked') });
    assert.equal(entries[0].size, 5);
    await refused(client.uploads.uploadWithPreflightCheck({ attributes, file: stream('again') }), 409, /item_name_in_use/);
  });

  test('uploads a large file in parts', async () => {
    const content = randomBytes(21_000_000);
    const file = await client.chunkedUploads.uploadBigFile(Readable.from([content]), 'large.bin', content.length, '0');
    assert.deepEqual([file.size, file.sha1], [content.length, sha1(content)]);
    assert.equal(sha1(await download(file.id)), sha1(content));
    const parts = await box.requests({ method: 'PUT', path: '/api/2.0/files/upload_sessions/*' });
    assert.deepEqual(parts.map((r) => r.range),
      ['bytes 0-8388607/21000000', 'bytes 8388608-16777215/21000000', 'bytes 16777216-20999999/21000000']);
    assert.equal((await box.state()).content.upload_sessions.length, 0);
    await refused(client.chunkedUploads.createFileUploadSession({ fileName: 'small', fileSize: 1000, folderId: '0' }), 400, /file_size_too_small/);
  });

  test('waits for the parts, and gives an upload up', async () => {
    await box.setKnobs({ chunked_minimum: 1, part_size: 8 });
    const begun = await client.chunkedUploads.createFileUploadSession({ fileName: 'parts', fileSize: 10, folderId: '0' });
    const digest = (text) => `sha=${createHash('sha1').update(text).digest('base64')}`;
    const put = (text, range) => client.chunkedUploads.uploadFilePart(begun.id, stream(text), { digest: digest(text), contentRange: range });
    const first = await put('01234567', 'bytes 0-7/10');
    await refused(put('01234567', 'bytes 0-7/10'), 409, /range_overlaps_existing_part/);
    const last = await put('89', 'bytes 8-9/10');
    const parts = [first.part, last.part];
    await box.addFault({ match: { path: '/api/2.0/files/upload_sessions/*' }, then: { row: 'content_not_ready' } });
    const commit = () => client.chunkedUploads.createFileUploadSessionCommit(begun.id, { parts }, { digest: digest('0123456789') });
    assert.equal(await commit(), undefined);
    const { entries } = await commit();
    assert.equal(entries[0].sha1, sha1('0123456789'));

    const other = await client.chunkedUploads.createFileUploadSessionForExistingFile(entries[0].id, { fileSize: 10 });
    assert.equal((await client.chunkedUploads.getFileUploadSessionById(other.id)).numPartsProcessed, 0);
    await client.chunkedUploads.deleteFileUploadSessionById(other.id);
    await refused(client.chunkedUploads.getFileUploadSessionById(other.id), 404, /not_found/);
  });

  test('lists by marker and searches', async () => {
    await box.setKnobs({ index_delay: '0s' });
    const folder = await newFolder('Listed');
    for (const n of [1, 2, 3, 4, 5]) await upload(`needle ${n}.txt`, `${n}`, folder.id);
    const seen = [];
    let marker;
    do {
      const page = await client.folders.getFolderItems(folder.id, { queryParams: { usemarker: true, limit: 2, marker, fields: ['name', 'size'] } });
      seen.push(...page.entries.map((e) => [e.name, e.size]));
      marker = page.nextMarker;
    } while (marker);
    assert.deepEqual(seen.toSorted(), [1, 2, 3, 4, 5].map((n) => [`needle ${n}.txt`, 1]));

    const found = await client.search.searchForContent({ query: 'needle', type: 'file', ancestorFolderIds: [folder.id], fileExtensions: ['txt'], limit: 2, offset: 2 });
    assert.equal(found.totalCount, 5);
    assert.deepEqual(found.entries.map((e) => e.name), ['needle 3.txt', 'needle 4.txt']);
    await refused(client.search.searchForContent({ type: 'file' }), 400, /bad_request/);
    await client.folders.deleteFolderById(folder.id, { queryParams: { recursive: true } });
    assert.equal((await client.search.searchForContent({ query: 'needle' })).totalCount, 0);
    assert.equal((await client.search.searchForContent({ query: 'needle', trashContent: 'trashed_only' })).totalCount, 5);
  });

  test('uploads with a narrowed token', async () => {
    const folder = await newFolder('Narrow');
    const { accessToken } = await auth.downscopeToken(['base_upload', 'item_download'], `${box.info.api_url}/folders/${folder.id}`, undefined, session);
    const { BoxClient, BoxDeveloperTokenAuth } = await import('box-node-sdk');
    const narrow = new BoxClient({
      auth: new BoxDeveloperTokenAuth({ token: accessToken }),
      networkSession: session.withNetworkOptions?.({ retryStrategy: new BoxRetryStrategy({ maxAttempts: 1 }) }) ?? session,
    });
    const { entries } = await narrow.uploads.uploadFile({ attributes: { name: 'a', parent: { id: folder.id } }, file: stream('a') });
    await refused(narrow.uploads.uploadFile({ attributes: { name: 'a', parent: { id: '0' } }, file: stream('a') }), 403, /access_denied/);
    await refused(narrow.files.getFileById(entries[0].id), 403, /./);
    assert.equal((await buffer(await narrow.downloads.downloadFile(entries[0].id))).toString(), 'a');
    const uploads = await box.requests({ path: '/api/2.0/files/content' });
    const last = uploads.at(-2);
    assert.deepEqual([last.narrowed, last.scopes, last.resource], [true, ['base_upload', 'item_download'], `folder/${folder.id}`]);
    assert.equal(uploads[0].narrowed, undefined);
  });

  test('survives a busy service', async () => {
    await box.addFault({ match: { path: '/api/2.0/files/content' }, then: { status: 503, body: '{}', headers: { 'retry-after': '0' } } });
    assert.equal((await upload('busy.txt', 'busy')).size, 4);
  });
});
