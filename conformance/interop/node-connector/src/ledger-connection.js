// A connector for Ledger, a service that exists for tests alone.
import { serve } from './process.js';
import { connector } from './service.js';

const cookie = ['INTEGRATION_CONNECTOR_PLUGIN', '9c1f7f6e-connector-v1'];

if (process.env[cookie[0]] !== cookie[1]) {
  process.stderr.write('ledger-connection is a plugin: an integration engine starts it. It does nothing by itself.\n');
  process.exit(1);
}
delete process.env[cookie[0]];
serve(connector());
