// The Box operations, run by connectorctl, and Box's Node SDK as it is
// published, work on the same account: each reads what the other wrote.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';

import { Boxsim } from './boxsim.js';
import { network, signIn } from './client.js';
import { Connectorctl } from './connectorctl.js';

let box;
let client;
let ctl;

before(async () => {
  box = await Boxsim.start();
  await box.setKnobs({ index_delay: '0s' });
  ({ client } = await signIn(box, network(box)));
  ctl = await Connectorctl.connect(box);
});

after(async () => {
  await ctl?.remove();
  await box?.stop();
});

const small = 1 << 10;
const large = 52_000_000; // above 50 MB the operations upload in parts

const sha1 = (content) => createHash('sha1').update(content).digest('hex');
const sdkDownload = async (id, options) => buffer(await client.downloads.downloadFile(id, options));

// local writes a file for connectorctl and returns its path.
const local = async (name, content) => {
  await writeFile(ctl.path(name), content);
  return ctl.path(name);
};

// opsDownload downloads by the operation and returns the document and content.
const opsDownload = async (input) => {
  const document = await ctl.one('get-file', input, '--output', ctl.path('downloaded'));
  return { document, content: await readFile(ctl.path('downloaded')) };
};

describe('the Box operations and box-node-sdk', { timeout: 240_000 }, () => {
  test('the SDK reads what the operations wrote', async () => {
    const folder = await ctl.one('create-folder', { name: 'From operations', description: 'with ünïcode' });
    const seen = await client.folders.getFolderById(folder.id, { queryParams: { fields: ['name', 'description', 'etag', 'parent'] } });
    assert.deepEqual([seen.name, seen.description, seen.parent.id, seen.etag], ['From operations', 'with ünïcode', '0', folder.etag]);

    const ids = {};
    for (const [name, size] of [['empty.bin', 0], ['småll.bin', small], ['large.bin', large]]) {
      const content = randomBytes(size);
      const file = await ctl.one('create-file', { name, parent_id: folder.id }, '--content', await local('content', content));
      const read = await client.files.getFileById(file.id);
      assert.deepEqual([read.name, read.size, read.sha1, read.parent.id], [name, size, sha1(content), folder.id]);
      assert.equal(sha1(await sdkDownload(file.id)), sha1(content));
      ids[name] = file.id;
    }

    const items = await client.folders.getFolderItems(folder.id, { queryParams: { fields: ['name'] } });
    assert.deepEqual(items.entries.map((e) => e.id).toSorted(), Object.values(ids).toSorted());
    const found = await client.search.searchForContent({ query: 'småll', ancestorFolderIds: [folder.id] });
    assert.deepEqual(found.entries.map((e) => e.id), [ids['småll.bin']]);

    // A new version, small over large and in parts over small.
    const past = await sdkDownload(ids['småll.bin']);
    for (const [name, size] of [['large.bin', small], ['småll.bin', large]]) {
      const content = randomBytes(size);
      const next = await ctl.one('upsert-file', { name, parent_id: folder.id }, '--content', await local('content', content));
      assert.deepEqual([next.id, next.etag], [ids[name], '1']);
      assert.equal(sha1(await sdkDownload(next.id)), sha1(content));
    }
    const { entries: [old] } = await client.fileVersions.getFileVersions(ids['småll.bin']);
    assert.equal(old.sha1, sha1(past));
    assert.deepEqual(await sdkDownload(ids['småll.bin'], { queryParams: { version: old.id } }), past);

    await ctl.one('update-folder', { folder_id: folder.id, name: 'Renamed', tags: ['a', 'b'], shared_link: { access: 'company' }, if_match: folder.etag });
    const changed = await client.folders.getFolderById(folder.id, { queryParams: { fields: ['name', 'tags', 'shared_link', 'description'] } });
    assert.deepEqual([changed.name, changed.tags, changed.sharedLink.access, changed.description], ['Renamed', ['a', 'b'], 'company', 'with ünïcode']);

    await ctl.one('delete-file', { file_id: ids['empty.bin'] });
    await assert.rejects(client.files.getFileById(ids['empty.bin']), /404/);
    await ctl.one('delete-folder', { folder_id: folder.id, recursive: true });
    await assert.rejects(client.folders.getFolderById(folder.id), /404/);
  });

  test('the operations read what the SDK wrote', async () => {
    const folder = await client.folders.createFolder({ name: 'From the SDK', parent: { id: '0' } });
    await client.folders.updateFolderById(folder.id, { requestBody: { description: 'd', tags: ['x'], sharedLink: { access: 'open' } } });
    const seen = await ctl.one('get-folder', { folder_id: folder.id });
    assert.deepEqual([seen.name, seen.description, seen.tags, seen.shared_link.access, seen.etag], ['From the SDK', 'd', ['x'], 'open', '1']);

    const first = randomBytes(small);
    const attributes = { name: 'ünïcode.bin', parent: { id: folder.id } };
    const { entries: [file] } = await client.uploads.uploadFile({ attributes, file: Readable.from([first]) });
    let got = await opsDownload({ file_id: file.id });
    assert.deepEqual([got.document.name, got.document.size, got.document.sha1], ['ünïcode.bin', small, sha1(first)]);
    assert.deepEqual(got.content, first);

    const second = randomBytes(small);
    await client.uploads.uploadFileVersion(file.id, { attributes: { name: 'ünïcode.bin' }, file: Readable.from([second]) });
    assert.deepEqual((await opsDownload({ file_id: file.id })).content, second);
    const { entries: [old] } = await client.fileVersions.getFileVersions(file.id);
    got = await opsDownload({ file_id: file.id, version_id: old.id });
    assert.deepEqual(got.content, first);
    assert.equal(got.document.file_version.id, old.id);

    const content = randomBytes(large);
    const big = await client.chunkedUploads.uploadBigFile(Readable.from([content]), 'large.bin', content.length, folder.id);
    got = await opsDownload({ file_id: big.id });
    assert.deepEqual([got.document.size, sha1(got.content)], [large, sha1(content)]);

    const listed = await ctl.run('get-folder-items', { folder_id: folder.id, fields: ['name', 'size'], page_size: 1 });
    assert.deepEqual(listed.map((i) => [i.name, i.size]).toSorted(), [['large.bin', large], ['ünïcode.bin', small]]);
    const found = await ctl.run('search', { query: 'large', ancestor_folder_ids: [folder.id], file_extensions: ['bin'], type: 'file' });
    assert.deepEqual(found.map((i) => i.id), [big.id]);

    await client.files.deleteFileById(big.id);
    await assert.rejects(ctl.one('get-file', { file_id: big.id }, '--output', ctl.path('never')), /ITEM_NOT_FOUND/);
    await client.folders.deleteFolderById(folder.id, { queryParams: { recursive: true } });
    await assert.rejects(ctl.one('get-folder', { folder_id: folder.id }), /ITEM_NOT_FOUND/);
  });
});
