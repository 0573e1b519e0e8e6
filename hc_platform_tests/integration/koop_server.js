// Starts a Koop server over the .geojson files of a folder: node koop_server.js MODULES DATA_DIR
// Prints "listening PORT" when ready. Each file is parsed once: Koop's own cache is keyed by URL, which with paging
// would mean parsing and keeping the whole layer again for every page.
const path = require('path');
const { createRequire } = require('module');

const [modules, dataDir] = process.argv.slice(2);
const load = createRequire(path.join(path.resolve(modules), 'package.json'));
const Koop = load('@koopjs/koop-core');
const provider = load('@koopjs/provider-file-geojson');

const parsed = new Map();

class Model extends provider.Model {
  async getData(req, callback) {
    const id = req.params.id;
    if (!parsed.has(id)) {
      parsed.set(id, new Promise((resolve, reject) => {
        super.getData(req, (error, geojson) => (error ? reject(error) : resolve(geojson)));
      }));
    }
    try {
      const geojson = await parsed.get(id);
      callback(null, { ...geojson, metadata: { ...geojson.metadata } });
    } catch (error) {
      parsed.delete(id);
      callback(error);
    }
  }
}

const koop = new Koop({ logLevel: 'error' });
// the provider joins the folder to the working directory, so it must be relative
koop.register({ ...provider, Model }, { dataDir: path.relative(process.cwd(), path.resolve(dataDir)) });
const server = koop.server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
process.stdin.on('end', () => process.exit(0)).resume(); // ends with the test that started it
